import type { Account } from "../../../ports/account-store.ts";
import type { Database, Row } from "../database.ts";
import { blob, integer, text } from "../../rows.ts";

export function accountOf(row: Row): Account {
  return {
    id: text(row, "id"),
    name: text(row, "name"),
    usesDefaultSource: row["uses_default_source"] === 1,
    sealedSigningKey: blob(row, "sealed_signing_key"),
    publicKey: text(row, "public_key"),
    createdAtMs: integer(row, "created_at"),
  };
}

/** False: the name is taken, and nothing was written. */
export function insertAccount(db: Database, draft: Account): boolean {
  const inserted = db.run(
    `insert into accounts (id, name, uses_default_source, sealed_signing_key, public_key, created_at) values (?, ?, ?, ?, ?, ?)
     on conflict (name) do nothing`,
    draft.id,
    draft.name,
    draft.usesDefaultSource,
    draft.sealedSigningKey,
    draft.publicKey,
    draft.createdAtMs,
  );
  return inserted === 1;
}

export function accountNamed(db: Database, name: string): Account | null {
  const row = db.get("select * from accounts where name = ?", name);
  return row === undefined ? null : accountOf(row);
}

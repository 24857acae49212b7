import type { Account } from "../../../ports/stores/account-store.ts";
import type { Database } from "../connection/database.ts";
import { accountOf } from "../../sql/rows.ts";

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

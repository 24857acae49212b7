import type { Account } from "../../../ports/account-store.ts";
import type { Database } from "../database.ts";
import { accountOf } from "../tables/accounts.ts";

export function ensureAccount(db: Database, draft: Account): Account {
  db.run(
    `insert into accounts (id, name, uses_default_source, sealed_signing_key, public_key, created_at) values (?, ?, ?, ?, ?, ?)
     on conflict (name) do nothing`,
    draft.id,
    draft.name,
    draft.usesDefaultSource,
    draft.sealedSigningKey,
    draft.publicKey,
    draft.createdAtMs,
  );
  const row = db.get("select * from accounts where name = ?", draft.name);
  if (row === undefined) throw new Error(`no account ${draft.name}`);
  return accountOf(row);
}

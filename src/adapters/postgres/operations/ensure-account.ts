import type { Account } from "../../../ports/account-store.ts";
import type { Transaction } from "../database.ts";
import { accountOf } from "../tables/accounts.ts";

export async function ensureAccount(tx: Transaction, draft: Account): Promise<Account> {
  const made = await tx.run(
    `insert into accounts (id, name, uses_default_source, sealed_signing_key, public_key, created_at) values ($1, $2, $3, $4, $5, $6)
     on conflict (name) do nothing`,
    draft.id,
    draft.name,
    draft.usesDefaultSource,
    draft.sealedSigningKey,
    draft.publicKey,
    draft.createdAtMs,
  );
  if (made > 0) tx.changed.add("accounts");
  const row = await tx.get("select * from accounts where name = $1", draft.name);
  if (row === undefined) throw new Error(`no account ${draft.name}`);
  return accountOf(row);
}

import type { Account } from "../../../ports/stores/account-store.ts";
import type { Queries } from "../connection/queries.ts";
import type { Transaction } from "../connection/transaction.ts";
import { accountOf } from "../../sql/rows.ts";

/** False: the name is taken, and nothing was written. Whoever is taking it at the moment is waited for. */
export async function insertAccount(tx: Transaction, draft: Account): Promise<boolean> {
  const inserted = await tx.run(
    `insert into accounts (id, name, uses_default_source, sealed_signing_key, public_key, created_at) values ($1, $2, $3, $4, $5, $6)
     on conflict (name) do nothing`,
    draft.id,
    draft.name,
    draft.usesDefaultSource,
    draft.sealedSigningKey,
    draft.publicKey,
    draft.createdAtMs,
  );
  if (inserted > 0) tx.changed.add("accounts");
  return inserted > 0;
}

export async function accountNamed(db: Queries, name: string): Promise<Account | null> {
  const row = await db.get("select * from accounts where name = $1", name);
  return row === undefined ? null : accountOf(row);
}

import type { Account, AccountStore, ApiKeyDraft } from "../../../ports/stores/account-store.ts";
import { accountOf } from "../../sql/rows.ts";
import type { Queries } from "../connection/queries.ts";
import type { Transaction } from "../connection/transaction.ts";
import { createKey } from "./api-keys.ts";

export const reads = { findAccount, findOldestAccount, getAccount };
export const writes = { createAccount, ensureAccount };

/** Inserts an account and returns true, or returns false if the name exists. Waits for a concurrent insert of the same name. */
async function insertAccount(tx: Transaction, draft: Account): Promise<boolean> {
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

async function accountNamed(db: Queries, name: string): Promise<Account | null> {
  const row = await db.get("select * from accounts where name = $1", name);
  return row === undefined ? null : accountOf(row);
}

async function createAccount(tx: Transaction, draft: Account, firstKey: ApiKeyDraft): ReturnType<AccountStore["createAccount"]> {
  if (!(await insertAccount(tx, draft))) {
    const account = await accountNamed(tx, draft.name);
    if (account === null) throw new Error(`account ${draft.name} does not exist`);
    return { kind: "name_taken", account };
  }
  await createKey(tx, firstKey);
  return { kind: "created" };
}

async function ensureAccount(tx: Transaction, draft: Account): Promise<Account> {
  await insertAccount(tx, draft);
  const account = await accountNamed(tx, draft.name);
  if (account === null) throw new Error(`account ${draft.name} does not exist`);
  return account;
}

async function findAccount(db: Queries, idOrName: string): Promise<Account | null> {
  return (await getAccount(db, idOrName)) ?? (await accountNamed(db, idOrName));
}

async function getAccount(db: Queries, accountId: string): Promise<Account | null> {
  const row = await db.get("select * from accounts where id = $1", accountId);
  return row === undefined ? null : accountOf(row);
}

async function findOldestAccount(db: Queries): Promise<Account | null> {
  const row = await db.get("select * from accounts order by id limit 1");
  return row === undefined ? null : accountOf(row);
}

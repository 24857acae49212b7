import { decodeId } from "../../../domain/ids.ts";
import type { Account, AccountStore, ApiKeyDraft } from "../../../ports/stores/account-store.ts";
import type { SqlQueries, SqlTransaction } from "../queries.ts";
import { accountOf } from "../rows.ts";
import { createKey } from "./api-keys.ts";

export const reads = { findAccount, findOldestAccount, getAccount };
export const writes = { createAccount, ensureAccount };

/** Inserts an account and returns true, or returns false if the name exists. Waits for a concurrent insert of the same name. */
async function insertAccount(tx: SqlTransaction, draft: Account): Promise<boolean> {
  const inserted = await tx.run(
    `insert into accounts (id, name, uses_default_source, sealed_signing_key, public_key, created_at) values (?1, ?2, ?3, ?4, ?5, ?6)
     on conflict (name) do nothing`,
    decodeId(draft.id),
    draft.name,
    draft.usesDefaultSource,
    draft.sealedSigningKey,
    draft.publicKey,
    draft.createdAtMs,
  );
  if (inserted > 0) tx.changed?.add("accounts");
  return inserted > 0;
}

async function createAccount(tx: SqlTransaction, draft: Account, firstKey: ApiKeyDraft): ReturnType<AccountStore["createAccount"]> {
  if (!(await insertAccount(tx, draft))) return { kind: "name_taken", account: await requireAccount(tx, draft.name) };
  await createKey(tx, firstKey);
  return { kind: "created" };
}

async function ensureAccount(tx: SqlTransaction, draft: Account): Promise<Account> {
  await insertAccount(tx, draft);
  return requireAccount(tx, draft.name);
}

async function findAccount(db: SqlQueries, idOrName: string): Promise<Account | null> {
  return (await getAccount(db, idOrName)) ?? (await accountNamed(db, idOrName));
}

async function getAccount(db: SqlQueries, accountId: string): Promise<Account | null> {
  const row = await db.get("select * from accounts where id = ?1", decodeId(accountId));
  return row === undefined ? null : accountOf(row);
}

async function findOldestAccount(db: SqlQueries): Promise<Account | null> {
  const row = await db.get("select * from accounts order by id limit 1");
  return row === undefined ? null : accountOf(row);
}

async function accountNamed(db: SqlQueries, name: string): Promise<Account | null> {
  const row = await db.get("select * from accounts where name = ?1", name);
  return row === undefined ? null : accountOf(row);
}

async function requireAccount(tx: SqlTransaction, name: string): Promise<Account> {
  const account = await accountNamed(tx, name);
  if (account === null) throw new Error(`account ${name} does not exist`);
  return account;
}

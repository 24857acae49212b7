import type { Account, AccountStore, ApiKeyDraft } from "../../../ports/stores/account-store.ts";
import { accountOf } from "../../sql/rows.ts";
import type { Database } from "../connection/database.ts";
import { createKey } from "./api-keys.ts";

export const reads = { findAccount, findOldestAccount, getAccount };
export const writes = { createAccount, ensureAccount };

function createAccount(db: Database, draft: Account, firstKey: ApiKeyDraft): Awaited<ReturnType<AccountStore["createAccount"]>> {
  const taken = accountNamed(db, draft.name);
  if (taken !== null) return { kind: "name_taken", account: taken };
  insertAccount(db, draft);
  createKey(db, firstKey);
  return { kind: "created" };
}

function ensureAccount(db: Database, draft: Account): Account {
  insertAccount(db, draft);
  const account = accountNamed(db, draft.name);
  if (account === null) throw new Error(`no account ${draft.name}`);
  return account;
}

function findAccount(db: Database, idOrName: string): Account | null {
  return getAccount(db, idOrName) ?? accountNamed(db, idOrName);
}

function getAccount(db: Database, accountId: string): Account | null {
  const row = db.get("select * from accounts where id = ?", accountId);
  return row === undefined ? null : accountOf(row);
}

function findOldestAccount(db: Database): Account | null {
  const row = db.get("select * from accounts order by id limit 1");
  return row === undefined ? null : accountOf(row);
}

function accountNamed(db: Database, name: string): Account | null {
  const row = db.get("select * from accounts where name = ?", name);
  return row === undefined ? null : accountOf(row);
}

/** Inserts the account unless its name is taken. */
function insertAccount(db: Database, draft: Account): void {
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
}

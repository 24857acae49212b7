import type { Account } from "../../../ports/stores/account-store.ts";
import type { Database } from "../connection/database.ts";
import { accountNamed, insertAccount } from "./accounts.ts";

export function ensureAccount(db: Database, draft: Account): Account {
  insertAccount(db, draft);
  const account = accountNamed(db, draft.name);
  if (account === null) throw new Error(`no account ${draft.name}`);
  return account;
}

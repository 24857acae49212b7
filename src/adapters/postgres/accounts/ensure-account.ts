import type { Account } from "../../../ports/stores/account-store.ts";
import type { Transaction } from "../connection/transaction.ts";
import { accountNamed, insertAccount } from "./accounts.ts";

export async function ensureAccount(tx: Transaction, draft: Account): Promise<Account> {
  await insertAccount(tx, draft);
  const account = await accountNamed(tx, draft.name);
  if (account === null) throw new Error(`no account ${draft.name}`);
  return account;
}

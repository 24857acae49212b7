import type { Account, AccountStore, ApiKeyDraft } from "../../../ports/stores/account-store.ts";
import type { Transaction } from "../connection/transaction.ts";
import { accountNamed, insertAccount } from "./accounts.ts";
import { insertKey } from "./api-keys.ts";

export async function createAccount(
  tx: Transaction,
  draft: Account,
  firstKey: ApiKeyDraft,
): Promise<Awaited<ReturnType<AccountStore["createAccount"]>>> {
  if (!(await insertAccount(tx, draft))) {
    const account = await accountNamed(tx, draft.name);
    if (account === null) throw new Error(`no account ${draft.name}`);
    return { kind: "name_taken", account };
  }
  await insertKey(tx, firstKey);
  return { kind: "created" };
}

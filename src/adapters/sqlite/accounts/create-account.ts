import type { Account, AccountStore, ApiKeyDraft } from "../../../ports/stores/account-store.ts";
import type { Database } from "../connection/database.ts";
import { accountNamed, insertAccount } from "./accounts.ts";
import { insertKey } from "./api-keys.ts";

export function createAccount(db: Database, draft: Account, firstKey: ApiKeyDraft): Awaited<ReturnType<AccountStore["createAccount"]>> {
  const taken = accountNamed(db, draft.name);
  if (taken !== null) return { kind: "name_taken", account: taken };
  insertAccount(db, draft);
  insertKey(db, firstKey);
  return { kind: "created" };
}

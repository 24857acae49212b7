import type { ApiKeyDraft } from "../../../ports/stores/account-store.ts";
import type { Transaction } from "../connection/transaction.ts";
import { insertKey } from "./api-keys.ts";

export async function createKey(tx: Transaction, draft: ApiKeyDraft): Promise<void> {
  await insertKey(tx, draft);
}

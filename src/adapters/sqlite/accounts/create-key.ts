import type { ApiKeyDraft } from "../../../ports/stores/account-store.ts";
import type { Database } from "../connection/database.ts";
import { insertKey } from "./api-keys.ts";

export function createKey(db: Database, draft: ApiKeyDraft): void {
  insertKey(db, draft);
}

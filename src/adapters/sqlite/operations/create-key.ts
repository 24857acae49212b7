import type { ApiKeyDraft } from "../../../ports/stores/account-store.ts";
import type { Database } from "../database.ts";
import { insertKey } from "../tables/api-keys.ts";

export function createKey(db: Database, draft: ApiKeyDraft): void {
  insertKey(db, draft);
}

import type { ApiKeyView } from "../../../ports/stores/account-store.ts";
import type { Database } from "../connection/database.ts";
import { apiKeyOf } from "../../sql/rows.ts";

export function listKeys(db: Database, accountId: string): readonly ApiKeyView[] {
  return db.all("select id, name, created_at, revoked_at from api_keys where account_id = ? order by id", accountId).map(apiKeyOf);
}

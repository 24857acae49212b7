import type { ApiKeyView } from "../../../ports/stores/account-store.ts";
import type { Queries } from "../connection/queries.ts";
import { apiKeyOf } from "../../sql/rows.ts";

export async function listKeys(db: Queries, accountId: string): Promise<readonly ApiKeyView[]> {
  const rows = await db.all("select id, name, created_at, revoked_at from api_keys where account_id = $1 order by id", accountId);
  return rows.map(apiKeyOf);
}

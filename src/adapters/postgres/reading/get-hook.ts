import type { HookView } from "../../../ports/stores/read-store.ts";
import type { Queries } from "../connection/queries.ts";
import { hookSelect } from "./selects.ts";
import { hookViewOf } from "../../sql/view-rows.ts";

export async function getHook(db: Queries, accountId: string, hookId: string): Promise<HookView | null> {
  const row = await db.get(`${hookSelect} where k.id = $1 and k.account_id = $2`, hookId, accountId);
  return row === undefined ? null : hookViewOf(row);
}

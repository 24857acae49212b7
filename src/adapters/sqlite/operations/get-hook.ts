import type { HookView } from "../../../ports/read-store.ts";
import type { Database } from "../database.ts";
import { hookSelect, hookViewOf } from "../tables/views.ts";

export function getHook(db: Database, accountId: string, hookId: string): HookView | null {
  const row = db.get(`${hookSelect} where k.id = ? and k.account_id = ?`, hookId, accountId);
  return row === undefined ? null : hookViewOf(row);
}

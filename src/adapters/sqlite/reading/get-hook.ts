import type { HookView } from "../../../ports/stores/read-store.ts";
import type { Database } from "../connection/database.ts";
import { hookSelect } from "./selects.ts";
import { hookViewOf } from "../../sql/view-rows.ts";

export function getHook(db: Database, accountId: string, hookId: string): HookView | null {
  const row = db.get(`${hookSelect} where k.id = ? and k.account_id = ?`, hookId, accountId);
  return row === undefined ? null : hookViewOf(row);
}

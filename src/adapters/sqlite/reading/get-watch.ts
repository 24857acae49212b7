import type { WatchView } from "../../../ports/stores/read-store.ts";
import type { Database } from "../connection/database.ts";
import { watchSelect } from "./selects.ts";
import { watchViewOf } from "../../sql/view-rows.ts";

export function getWatch(db: Database, accountId: string, watchId: string): WatchView | null {
  const row = db.get(`${watchSelect} where w.id = ? and w.account_id = ?`, watchId, accountId);
  return row === undefined ? null : watchViewOf(row);
}

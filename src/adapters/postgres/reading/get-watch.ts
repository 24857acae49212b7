import type { WatchView } from "../../../ports/stores/read-store.ts";
import type { Queries } from "../connection/queries.ts";
import { watchSelect } from "./selects.ts";
import { watchViewOf } from "../../sql/view-rows.ts";

export async function getWatch(db: Queries, accountId: string, watchId: string): Promise<WatchView | null> {
  const row = await db.get(`${watchSelect} where w.id = $1 and w.account_id = $2`, watchId, accountId);
  return row === undefined ? null : watchViewOf(row);
}

import type { EventView, Page, ReadStore } from "../../../ports/stores/read-store.ts";
import type { Database } from "../connection/database.ts";
import { integer } from "../../sql/rows.ts";
import { eventSelect, readEventView } from "./selects.ts";
import { decodeNumberCursor, pageOf } from "../../sql/cursor.ts";

export function listWatchEvents(db: Database, query: Parameters<ReadStore["listWatchEvents"]>[0]): Page<EventView> | null {
  if (db.get("select 1 from watches where id = ? and account_id = ?", query.watchId, query.accountId) === undefined) return null;
  const rows = db.all(
    `${eventSelect} where e.watch_id = ? and e.sequence > ? order by e.sequence limit ?`,
    query.watchId,
    query.cursor === null ? 0 : decodeNumberCursor(query.cursor),
    query.limit + 1,
  );
  return pageOf(
    rows,
    query,
    (row) => integer(row, "sequence"),
    (row) => readEventView(db, row),
  );
}

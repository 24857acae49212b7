import type { Page, ReadStore, WatchView } from "../../../ports/read-store.ts";
import type { Database } from "../database.ts";
import { decodeIdCursor, pageOf } from "../tables/page.ts";
import { text } from "../tables/rows.ts";
import { watchSelect, watchViewOf } from "../tables/views.ts";

export function listWatches(db: Database, query: Parameters<ReadStore["listWatches"]>[0]): Page<WatchView> {
  const rows = db.all(
    `${watchSelect} where w.account_id = ?1 and (?2 is null or w.id < ?2) and (?3 is null or w.status = ?3) and (?4 is null or c.call_sid = ?4)
     order by w.id desc limit ?5`,
    query.accountId,
    query.cursor === null ? null : decodeIdCursor(query.cursor),
    query.status,
    query.callSid,
    query.limit + 1,
  );
  return pageOf(rows, query, (row) => text(row, "id"), watchViewOf);
}

import type { WatchView, Page, ReadStore } from "../../../ports/stores/read-store.ts";
import { watchViewOf } from "../../sql/view-rows.ts";
import { text } from "../../sql/rows.ts";
import { decodeIdCursor, pageOf } from "../../sql/cursor.ts";
import type { Queries } from "../connection/queries.ts";
import { watchSelect } from "./selects.ts";
import { unindexed, whereOf } from "./page.ts";

export const reads = { getWatch, listWatches };

async function getWatch(db: Queries, accountId: string, watchId: string): Promise<WatchView | null> {
  const row = await db.get(`${watchSelect} where w.id = $1 and w.account_id = $2`, watchId, accountId);
  return row === undefined ? null : watchViewOf(row);
}

async function listWatches(db: Queries, query: Parameters<ReadStore["listWatches"]>[0]): Promise<Page<WatchView>> {
  // A call has few watches, so its condition alone uses an index.
  const narrow = query.callSid === null ? (column: string) => column : unindexed;
  const { where, values, next } = whereOf([
    [`${narrow("w.account_id")} = ?`, query.accountId],
    [`${narrow("w.id")} < ?`, query.cursor === null ? null : decodeIdCursor(query.cursor)],
    [`${narrow("w.status")} = ?`, query.status],
    ["w.call_id = any(array(select id from calls where call_sid = ?))", query.callSid],
  ]);
  const rows = await db.all(`${watchSelect} where ${where} order by ${narrow("w.id")} desc limit $${next}`, ...values, query.limit + 1);
  return pageOf(rows, query, (row) => text(row, "id"), watchViewOf);
}

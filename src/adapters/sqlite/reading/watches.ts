import type { Page, ReadStore, WatchView } from "../../../ports/stores/read-store.ts";
import { decodeIdCursor, pageOf } from "../../sql/cursor.ts";
import { text } from "../../sql/rows.ts";
import { watchViewOf } from "../../sql/view-rows.ts";
import type { Database } from "../connection/database.ts";
import { whereOf } from "./page.ts";
import { watchSelect } from "./selects.ts";

export const reads = { getWatch, listWatches };

function getWatch(db: Database, accountId: string, watchId: string): WatchView | null {
  const row = db.get(`${watchSelect} where w.id = ? and w.account_id = ?`, watchId, accountId);
  return row === undefined ? null : watchViewOf(row);
}

function listWatches(db: Database, query: Parameters<ReadStore["listWatches"]>[0]): Page<WatchView> {
  const { where, values } = whereOf([
    ["w.account_id = ?", query.accountId],
    ["w.id < ?", query.cursor === null ? null : decodeIdCursor(query.cursor)],
    ["w.status = ?", query.status],
    ["w.call_id in (select id from calls where call_sid = ?)", query.callSid],
  ]);
  const rows = db.all(`${watchSelect} where ${where} order by w.id desc limit ?`, ...values, query.limit + 1);
  return pageOf(rows, query, (row) => text(row, "id"), watchViewOf);
}

import type { Page, ReadStore, WatchView } from "../../../ports/stores/read-store.ts";
import type { Database } from "../connection/database.ts";
import { whereOf } from "./page.ts";
import { text } from "../../sql/rows.ts";
import { watchSelect } from "./selects.ts";
import { watchViewOf } from "../../sql/view-rows.ts";
import { decodeIdCursor, pageOf } from "../../sql/cursor.ts";

export function listWatches(db: Database, query: Parameters<ReadStore["listWatches"]>[0]): Page<WatchView> {
  const { where, values } = whereOf([
    ["w.account_id = ?", query.accountId],
    ["w.id < ?", query.cursor === null ? null : decodeIdCursor(query.cursor)],
    ["w.status = ?", query.status],
    ["w.call_id in (select id from calls where call_sid = ?)", query.callSid],
  ]);
  const rows = db.all(`${watchSelect} where ${where} order by w.id desc limit ?`, ...values, query.limit + 1);
  return pageOf(rows, query, (row) => text(row, "id"), watchViewOf);
}

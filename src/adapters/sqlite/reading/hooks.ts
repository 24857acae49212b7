import type { HookView, Page, ReadStore } from "../../../ports/stores/read-store.ts";
import { decodeIdCursor, pageOf } from "../../sql/cursor.ts";
import { text } from "../../sql/rows.ts";
import { hookViewOf } from "../../sql/view-rows.ts";
import type { Database } from "../connection/database.ts";
import { whereOf } from "./page.ts";
import { hookSelect } from "./selects.ts";

export const reads = { getHook, listHooks };

function getHook(db: Database, accountId: string, hookId: string): HookView | null {
  const row = db.get(`${hookSelect} where k.id = ? and k.account_id = ?`, hookId, accountId);
  return row === undefined ? null : hookViewOf(row);
}

function listHooks(db: Database, query: Parameters<ReadStore["listHooks"]>[0]): Page<HookView> {
  const { where, values } = whereOf([
    ["k.account_id = ?", query.accountId],
    ["k.id < ?", query.cursor === null ? null : decodeIdCursor(query.cursor)],
  ]);
  const rows = db.all(`${hookSelect} where ${where} order by k.id desc limit ?`, ...values, query.limit + 1);
  return pageOf(rows, query, (row) => text(row, "id"), hookViewOf);
}

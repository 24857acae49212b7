import type { HookView, Page, ReadStore } from "../../../ports/stores/read-store.ts";
import { hookViewOf } from "../../sql/view-rows.ts";
import { text } from "../../sql/rows.ts";
import { decodeIdCursor, pageOf } from "../../sql/cursor.ts";
import type { Queries } from "../connection/queries.ts";
import { hookSelect } from "./selects.ts";
import { whereOf } from "./page.ts";

export const reads = { getHook, listHooks };

async function getHook(db: Queries, accountId: string, hookId: string): Promise<HookView | null> {
  const row = await db.get(`${hookSelect} where k.id = $1 and k.account_id = $2`, hookId, accountId);
  return row === undefined ? null : hookViewOf(row);
}

async function listHooks(db: Queries, query: Parameters<ReadStore["listHooks"]>[0]): Promise<Page<HookView>> {
  const { where, values, next } = whereOf([
    ["k.account_id = ?", query.accountId],
    ["k.id < ?", query.cursor === null ? null : decodeIdCursor(query.cursor)],
  ]);
  const rows = await db.all(`${hookSelect} where ${where} order by k.id desc limit $${next}`, ...values, query.limit + 1);
  return pageOf(rows, query, (row) => text(row, "id"), hookViewOf);
}

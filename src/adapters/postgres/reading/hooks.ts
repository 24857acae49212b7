import type { HookView, Page, ReadStore } from "../../../ports/stores/read-store.ts";
import { hookViewOf } from "../../sql/view-rows.ts";
import type { Queries } from "../connection/queries.ts";
import { listByIds } from "./page.ts";
import { hookSelect } from "./selects.ts";

export const reads = { getHook, listHooks };

async function getHook(db: Queries, accountId: string, hookId: string): Promise<HookView | null> {
  const row = await db.get(`${hookSelect} where k.id = $1 and k.account_id = $2`, hookId, accountId);
  return row === undefined ? null : hookViewOf(row);
}

function listHooks(db: Queries, query: Parameters<ReadStore["listHooks"]>[0]): Promise<Page<HookView>> {
  return listByIds(db, hookSelect, "k.id", [["k.account_id = ?", query.accountId]], query, hookViewOf);
}

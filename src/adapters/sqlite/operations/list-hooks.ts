import type { HookView, Page, ReadStore } from "../../../ports/read-store.ts";
import type { Database } from "../database.ts";
import { decodeIdCursor, pageOf } from "../tables/page.ts";
import { text } from "../tables/rows.ts";
import { hookSelect, hookViewOf } from "../tables/views.ts";

export function listHooks(db: Database, query: Parameters<ReadStore["listHooks"]>[0]): Page<HookView> {
  const cursor = query.cursor === null ? null : decodeIdCursor(query.cursor);
  const rows = db.all(
    `${hookSelect} where k.account_id = ?1 and (?2 is null or k.id < ?2) order by k.id desc limit ?3`,
    query.accountId,
    cursor,
    query.limit + 1,
  );
  return pageOf(rows, query, (row) => text(row, "id"), hookViewOf);
}

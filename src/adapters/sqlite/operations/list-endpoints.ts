import type { EndpointView, Page, ReadStore } from "../../../ports/read-store.ts";
import type { Database } from "../database.ts";
import { decodeIdCursor, pageOf } from "../tables/page.ts";
import { text } from "../tables/rows.ts";
import { endpointSelect, endpointViewOf } from "../tables/views.ts";

export function listEndpoints(db: Database, query: Parameters<ReadStore["listEndpoints"]>[0]): Page<EndpointView> {
  const cursor = query.cursor === null ? null : decodeIdCursor(query.cursor);
  const rows = db.all(
    `${endpointSelect} where p.account_id = ?1 and (?2 is null or p.id < ?2) order by p.id desc limit ?3`,
    query.accountId,
    cursor,
    query.limit + 1,
  );
  return pageOf(rows, query, (row) => text(row, "id"), endpointViewOf);
}

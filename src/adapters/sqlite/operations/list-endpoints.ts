import type { EndpointView, Page, ReadStore } from "../../../ports/read-store.ts";
import type { Database } from "../database.ts";
import { decodeIdCursor, pageOf, whereOf } from "../tables/page.ts";
import { text } from "../../rows.ts";
import { endpointSelect, endpointViewOf } from "../tables/views.ts";

export function listEndpoints(db: Database, query: Parameters<ReadStore["listEndpoints"]>[0]): Page<EndpointView> {
  const { where, values } = whereOf([
    ["p.account_id = ?", query.accountId],
    ["p.id < ?", query.cursor === null ? null : decodeIdCursor(query.cursor)],
  ]);
  const rows = db.all(`${endpointSelect} where ${where} order by p.id desc limit ?`, ...values, query.limit + 1);
  return pageOf(rows, query, (row) => text(row, "id"), endpointViewOf);
}

import type { EndpointView, Page, ReadStore } from "../../../ports/stores/read-store.ts";
import { endpointViewOf } from "../../sql/view-rows.ts";
import { text } from "../../sql/rows.ts";
import { decodeIdCursor, pageOf } from "../../sql/cursor.ts";
import type { Queries } from "../connection/queries.ts";
import { endpointSelect } from "./selects.ts";
import { whereOf } from "./page.ts";

export const reads = { getEndpoint, listEndpoints };

async function getEndpoint(db: Queries, accountId: string, endpointId: string): Promise<EndpointView | null> {
  const row = await db.get(`${endpointSelect} where p.id = $1 and p.account_id = $2`, endpointId, accountId);
  return row === undefined ? null : endpointViewOf(row);
}

async function listEndpoints(db: Queries, query: Parameters<ReadStore["listEndpoints"]>[0]): Promise<Page<EndpointView>> {
  const { where, values, next } = whereOf([
    ["p.account_id = ?", query.accountId],
    ["p.id < ?", query.cursor === null ? null : decodeIdCursor(query.cursor)],
  ]);
  const rows = await db.all(`${endpointSelect} where ${where} order by p.id desc limit $${next}`, ...values, query.limit + 1);
  return pageOf(rows, query, (row) => text(row, "id"), endpointViewOf);
}

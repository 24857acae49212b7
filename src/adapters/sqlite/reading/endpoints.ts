import type { EndpointView, Page, ReadStore } from "../../../ports/stores/read-store.ts";
import { decodeIdCursor, pageOf } from "../../sql/cursor.ts";
import { text } from "../../sql/rows.ts";
import { endpointViewOf } from "../../sql/view-rows.ts";
import type { Database } from "../connection/database.ts";
import { whereOf } from "./page.ts";
import { endpointSelect } from "./selects.ts";

export const reads = { getEndpoint, listEndpoints };

export function getEndpoint(db: Database, accountId: string, endpointId: string): EndpointView | null {
  const row = db.get(`${endpointSelect} where p.id = ? and p.account_id = ?`, endpointId, accountId);
  return row === undefined ? null : endpointViewOf(row);
}

function listEndpoints(db: Database, query: Parameters<ReadStore["listEndpoints"]>[0]): Page<EndpointView> {
  const { where, values } = whereOf([
    ["p.account_id = ?", query.accountId],
    ["p.id < ?", query.cursor === null ? null : decodeIdCursor(query.cursor)],
  ]);
  const rows = db.all(`${endpointSelect} where ${where} order by p.id desc limit ?`, ...values, query.limit + 1);
  return pageOf(rows, query, (row) => text(row, "id"), endpointViewOf);
}

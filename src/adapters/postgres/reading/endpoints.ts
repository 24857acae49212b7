import type { EndpointView, Page, ReadStore } from "../../../ports/stores/read-store.ts";
import { endpointViewOf } from "../../sql/view-rows.ts";
import type { Queries } from "../connection/queries.ts";
import { listByIds } from "./page.ts";
import { endpointSelect } from "./selects.ts";

export const reads = { getEndpoint, listEndpoints };

async function getEndpoint(db: Queries, accountId: string, endpointId: string): Promise<EndpointView | null> {
  const row = await db.get(`${endpointSelect} where p.id = $1 and p.account_id = $2`, endpointId, accountId);
  return row === undefined ? null : endpointViewOf(row);
}

function listEndpoints(db: Queries, query: Parameters<ReadStore["listEndpoints"]>[0]): Promise<Page<EndpointView>> {
  return listByIds(db, endpointSelect, "p.id", [["p.account_id = ?", query.accountId]], query, endpointViewOf);
}

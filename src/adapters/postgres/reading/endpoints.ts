import { decodeId } from "../../../domain/ids.ts";
import type { EndpointView, HookView, Page, ReadStore } from "../../../ports/stores/read-store.ts";
import { listByIds } from "../../sql/reading/page.ts";
import { endpointViewOf, hookViewOf } from "../../sql/view-rows.ts";
import type { Queries } from "../connection/queries.ts";
import { amongNewest } from "./page.ts";
import { endpointSelect, hookSelect } from "./selects.ts";

export const reads = { listEndpoints, listHooks };

function listEndpoints(db: Queries, query: Parameters<ReadStore["listEndpoints"]>[0]): Promise<Page<EndpointView>> {
  const newest = amongNewest("p.id", [{ table: "endpoints", columns: { account_id: decodeId(query.accountId) } }], query);
  return listByIds(db, endpointSelect, "p.id", [newest], { ...query, cursor: null }, endpointViewOf);
}

function listHooks(db: Queries, query: Parameters<ReadStore["listHooks"]>[0]): Promise<Page<HookView>> {
  const newest = amongNewest("k.id", [{ table: "hooks", columns: { account_id: decodeId(query.accountId) } }], query);
  return listByIds(db, hookSelect, "k.id", [newest], { ...query, cursor: null }, hookViewOf);
}

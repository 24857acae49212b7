import { decodeId } from "../../../domain/ids.ts";
import type { EndpointView, HookView, Page, ReadStore } from "../../../ports/stores/read-store.ts";
import { activityIn } from "../../sql/reading/account-activity.ts";
import { countIn } from "../../sql/reading/attempt-counts.ts";
import { listByIds } from "../../sql/reading/page.ts";
import { endpointViewOf, hookViewOf } from "../../sql/view-rows.ts";
import { readMarks } from "../../sql/marks/mark-rows.ts";
import { seeEndpoint } from "../../sql/marks/seen-rows.ts";
import type { Queries } from "../connection/queries.ts";
import { amongNewest } from "./page.ts";
import { endpointSelect, hookSelect } from "./selects.ts";

export const reads = { countAttempts, listEndpoints, listHooks, readActivity };

function countAttempts(db: Queries, query: Parameters<ReadStore["countAttempts"]>[0]): ReturnType<ReadStore["countAttempts"]> {
  return countIn(db, ["endpoint_attempts", "endpoint_attempt_changes"], query);
}

function readActivity(db: Queries, query: Parameters<ReadStore["readActivity"]>[0]): ReturnType<ReadStore["readActivity"]> {
  return activityIn(db, ["account_activity", "account_activity_changes"], query);
}

async function listEndpoints(db: Queries, query: Parameters<ReadStore["listEndpoints"]>[0]): Promise<Page<EndpointView>> {
  const marks = await readMarks(db, decodeId(query.accountId));
  const newest = amongNewest("p.id", [{ table: "endpoints", columns: { account_id: decodeId(query.accountId) } }], query);
  return listByIds(db, endpointSelect, "p.id", [newest], { ...query, cursor: null }, (row) => endpointViewOf(seeEndpoint(row, marks)));
}

function listHooks(db: Queries, query: Parameters<ReadStore["listHooks"]>[0]): Promise<Page<HookView>> {
  const newest = amongNewest("k.id", [{ table: "hooks", columns: { account_id: decodeId(query.accountId) } }], query);
  return listByIds(db, hookSelect, "k.id", [newest], { ...query, cursor: null }, hookViewOf);
}

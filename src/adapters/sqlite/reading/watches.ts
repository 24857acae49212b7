import { watchStatuses } from "../../../domain/calls/watch.ts";
import { decodeId } from "../../../domain/ids.ts";
import type { Page, ReadStore, WatchView } from "../../../ports/stores/read-store.ts";
import { amongNewest, listByIds } from "../../sql/reading/page.ts";
import type { Condition } from "../../sql/reading/page.ts";
import { watchViewOf } from "../../sql/view-rows.ts";
import type { Database } from "../connection/database.ts";
import { watchSelect } from "./selects.ts";

export const reads = { listWatches };

function listWatches(db: Database, query: Parameters<ReadStore["listWatches"]>[0]): Promise<Page<WatchView>> {
  const { status, callSid, cursor, limit } = query;
  const owner: Condition = ["w.account_id = ?", decodeId(query.accountId)];
  if (callSid !== null) {
    // A call has few watches, so the + keeps the planner off the other indexes.
    const conditions = [["w.call_id in (select id from calls where call_sid = ?)", callSid], owner, ["+w.status = ?", status]] as const;
    return listByIds(db, watchSelect, "+w.id", conditions, query, watchViewOf);
  }
  const conditions: readonly Condition[] =
    status === null
      ? [amongNewest("w.id", { table: "watches w", owner, statuses: watchStatuses }, cursor, limit + 1)]
      : [owner, ["w.status = ?", status]];
  return listByIds(db, watchSelect, "w.id", conditions, query, watchViewOf);
}

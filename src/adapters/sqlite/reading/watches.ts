import { watchStatuses } from "../../../domain/calls/watch.ts";
import { decodeId } from "../../../domain/ids.ts";
import type { Page, ReadStore, WatchView } from "../../../ports/stores/read-store.ts";
import { amongNewest, listByIds } from "../../sql/reading/page.ts";
import type { Condition } from "../../sql/reading/page.ts";
import { listThroughMarks } from "../../sql/reading/marked-watches.ts";
import { listByMetadata } from "../../sql/reading/watches-by-metadata.ts";
import { watchViewOf } from "../../sql/view-rows.ts";
import { readMarks } from "../../sql/marks/mark-rows.ts";
import { listMarkedWatches } from "../../sql/marks/marked-lists.ts";
import { markedReading } from "./marked-reading.ts";
import type { Database } from "../connection/database.ts";
import { watchSelect } from "./selects.ts";

export const reads = { listWatches, listWatchesByMetadata };

function listWatches(db: Database, query: Parameters<ReadStore["listWatches"]>[0]): Promise<Page<WatchView>> {
  return listThroughMarks(db, watchSelect, query, (page) => listByStatus(db, page));
}

function listWatchesByMetadata(db: Database, query: Parameters<ReadStore["listWatchesByMetadata"]>[0]): Promise<Page<WatchView>> {
  return listByMetadata(db, watchSelect, query);
}

async function listByStatus(db: Database, query: Parameters<ReadStore["listWatches"]>[0]): Promise<Page<WatchView>> {
  const marks = await readMarks(db, decodeId(query.accountId));
  if (marks.length > 0) return listMarkedWatches(db, marks, query, markedReading);
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

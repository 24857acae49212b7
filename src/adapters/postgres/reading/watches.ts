import { watchStatuses } from "../../../domain/calls/watch.ts";
import { decodeId } from "../../../domain/ids.ts";
import type { Page, ReadStore, WatchView } from "../../../ports/stores/read-store.ts";
import { listByIds } from "../../sql/reading/page.ts";
import type { Condition } from "../../sql/reading/page.ts";
import { listThroughMarks } from "../../sql/reading/marked-watches.ts";
import { listByMetadata } from "../../sql/reading/watches-by-metadata.ts";
import { watchViewOf } from "../../sql/view-rows.ts";
import { readMarks } from "../../sql/marks/mark-rows.ts";
import { listMarkedWatches } from "../../sql/marks/marked-lists.ts";
import { markedReading } from "./marked-reading.ts";
import type { Queries } from "../connection/queries.ts";
import { amongNewest, unindexed, unindexedKey } from "./page.ts";
import { watchSelect } from "./selects.ts";

export const reads = { listWatches, listWatchesByMetadata };

function listWatches(db: Queries, query: Parameters<ReadStore["listWatches"]>[0]): Promise<Page<WatchView>> {
  return listThroughMarks(db, watchSelect, query, (page) => listByStatus(db, page));
}

function listWatchesByMetadata(db: Queries, query: Parameters<ReadStore["listWatchesByMetadata"]>[0]): Promise<Page<WatchView>> {
  return listByMetadata(db, watchSelect, query);
}

async function listByStatus(db: Queries, query: Parameters<ReadStore["listWatches"]>[0]): Promise<Page<WatchView>> {
  const accountKey = decodeId(query.accountId);
  const marks = await readMarks(db, accountKey);
  if (marks.length > 0) return listMarkedWatches(db, marks, query, markedReading);
  if (query.callSid !== null) {
    // A call has few watches, so no other condition uses an index.
    const conditions: readonly Condition[] = [
      [`${unindexedKey("w.account_id")} = ?`, accountKey],
      [`${unindexed("w.status")} = ?`, query.status],
      ["w.call_id = any(array(select id from calls where call_sid = ?))", query.callSid],
    ];
    return listByIds(db, watchSelect, unindexedKey("w.id"), conditions, query, watchViewOf);
  }
  const statuses = query.status === null ? watchStatuses : [query.status];
  const ranges = statuses.map((status) => ({ table: "watches", columns: { account_id: accountKey, status } }) as const);
  return listByIds(db, watchSelect, "w.id", [amongNewest("w.id", ranges, query)], { ...query, cursor: null }, watchViewOf);
}

import type { Page, ReadStore, WatchView } from "../../../ports/stores/read-store.ts";
import { listByIds } from "../../sql/reading/page.ts";
import { watchViewOf } from "../../sql/view-rows.ts";
import type { Queries } from "../connection/queries.ts";
import { unindexed } from "./page.ts";
import { watchSelect } from "./selects.ts";

export const reads = { listWatches };

async function listWatches(db: Queries, query: Parameters<ReadStore["listWatches"]>[0]): Promise<Page<WatchView>> {
  // A call has few watches, so its condition alone uses an index.
  const column = query.callSid === null ? (name: string) => name : unindexed;
  const conditions = [
    [`${column("w.account_id")} = ?`, query.accountId],
    [`${column("w.status")} = ?`, query.status],
    ["w.call_id = any(array(select id from calls where call_sid = ?))", query.callSid],
  ] as const;
  return listByIds(db, watchSelect, column("w.id"), conditions, query, watchViewOf);
}

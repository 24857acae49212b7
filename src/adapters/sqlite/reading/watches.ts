import type { Page, ReadStore, WatchView } from "../../../ports/stores/read-store.ts";
import { listByIds } from "../../sql/reading/page.ts";
import { watchViewOf } from "../../sql/view-rows.ts";
import type { Database } from "../connection/database.ts";
import { watchSelect } from "./selects.ts";

export const reads = { listWatches };

function listWatches(db: Database, query: Parameters<ReadStore["listWatches"]>[0]): Promise<Page<WatchView>> {
  const conditions = [
    ["w.account_id = ?", query.accountId],
    ["w.status = ?", query.status],
    ["w.call_id in (select id from calls where call_sid = ?)", query.callSid],
  ] as const;
  return listByIds(db, watchSelect, "w.id", conditions, query, watchViewOf);
}

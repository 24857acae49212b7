import type { CallStore } from "../../../ports/stores/call-store.ts";
import type { Database } from "../connection/database.ts";

export function releaseCalls(db: Database, calls: Parameters<CallStore["releaseCalls"]>[0]): void {
  for (const { callId, lastGoodPollAtMs } of calls)
    if (lastGoodPollAtMs !== null) db.run("update calls set last_good_poll_at = ? where id = ?", lastGoodPollAtMs, callId);
}

import { decodeId } from "../../../domain/ids.ts";
import type { CallStore, WatchedCall } from "../../../ports/stores/call-store.ts";
import { watchedCallOf } from "../../sql/rows.ts";
import type { Database } from "../connection/database.ts";

export const reads = { loadWatchedCalls };
export const writes = { releaseCalls };

// Ids sort by time, so the first watch by id is the oldest.
const columns = `
  c.id, c.source_name, c.scope, c.call_sid, c.status, c.reason, c.terminal, c.observed_at, c.last_good_poll_at, c.version, c.created_at,
  (select o.account_id from watches o where o.call_id = c.id and o.status = 'active' order by o.id limit 1) as account_id, min(w.created_at) as oldest_watch_at,
  max(w.created_at) as youngest_watch_at, min(w.expires_at) as earliest_deadline_at, min(w.sequence) as least_sequence`;

/** Reads a call together with its active watches; `null` if it has none. */
export function readWatchedCall(db: Database, callKey: number): WatchedCall | null {
  const row = db.get(
    `select ${columns} from watches w join calls c on c.id = w.call_id where w.call_id = ? and w.status = 'active' group by w.call_id`,
    callKey,
  );
  return row === undefined ? null : watchedCallOf(row);
}

/** Deletes a call without watches. */
export function deleteUnwatchedCall(db: Database, callKey: number): void {
  db.run("delete from calls where id = ?1 and not exists (select 1 from watches w where w.call_id = ?1)", callKey);
}

function loadWatchedCalls(db: Database, page: Parameters<CallStore["loadWatchedCalls"]>[0]): readonly WatchedCall[] {
  return db
    .all(
      `select ${columns} from watches w join calls c on c.id = w.call_id
       where w.status = 'active' and w.call_id > ? group by w.call_id order by w.call_id limit ?`,
      page.afterCallId === null ? -1 : decodeId(page.afterCallId),
      page.limit,
    )
    .map(watchedCallOf);
}

/** Keeps the time of the last good poll. A single server owns every call, so there is no lease to release. */
function releaseCalls(db: Database, calls: Parameters<CallStore["releaseCalls"]>[0]): void {
  for (const { callId, lastGoodPollAtMs } of calls)
    if (lastGoodPollAtMs !== null) db.run("update calls set last_good_poll_at = ? where id = ?", lastGoodPollAtMs, decodeId(callId));
}

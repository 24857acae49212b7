import type { WatchedCall } from "../../../ports/stores/call-store.ts";
import type { Database } from "../connection/database.ts";
import { watchedCallOf } from "../../sql/rows.ts";

// Ids sort by time: the first is the oldest watch.
const columns = `
  c.id, c.source_name, c.scope, c.call_sid, c.status, c.reason, c.terminal, c.observed_at, c.last_good_poll_at, c.version, c.created_at,
  (select o.account_id from watches o where o.call_id = c.id and o.status = 'active' order by o.id limit 1) as account_id, max(w.created_at) as youngest_watch_at, min(w.expires_at) as earliest_deadline_at, min(w.sequence) as least_sequence`;

/** A call with its active watches gathered; null when nobody watches it. */
export function readWatchedCall(db: Database, callId: string): WatchedCall | null {
  const row = db.get(
    `select ${columns} from watches w join calls c on c.id = w.call_id where w.call_id = ? and w.status = 'active' group by w.call_id`,
    callId,
  );
  return row === undefined ? null : watchedCallOf(row);
}

export function listWatchedCalls(db: Database, afterCallId: string | null, limit: number): readonly WatchedCall[] {
  return db
    .all(
      `select ${columns} from watches w join calls c on c.id = w.call_id
       where w.status = 'active' and w.call_id > ? group by w.call_id order by w.call_id limit ?`,
      afterCallId ?? "",
      limit,
    )
    .map(watchedCallOf);
}

/** A call is kept as long as a watch on it is. */
export function deleteUnwatchedCall(db: Database, callId: string): number {
  return db.run("delete from calls where id = ?1 and not exists (select 1 from watches w where w.call_id = ?1)", callId);
}

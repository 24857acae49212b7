import { decodeId } from "../../../domain/ids.ts";
import type { CallStore, WatchedCall } from "../../../ports/stores/call-store.ts";
import { watchedCallOf } from "../../sql/rows.ts";
import { disabledKeys, isOfEnabled } from "../accounts/disabled-accounts.ts";
import type { Database } from "../connection/database.ts";

export const reads = { loadWatchedCalls };
export const writes = { parkCalls, releaseCalls };

/**
 * Columns of a call and of its watches, without those of disabled accounts unless there are none. Ids sort by time, so the first
 * active watch by id is the oldest and the last one the youngest.
 */
function columnsOf(hasDisabled: boolean): string {
  const isActive = (watch: string) =>
    `${watch}.call_id = c.id and ${watch}.status = 'active'${hasDisabled ? ` and ${isOfEnabled(`${watch}.account_id`)}` : ""}`;
  const newest = `select created_at from watches y where ${isActive("y")} order by y.id desc limit 1`;
  const earliest = `select expires_at from watches d indexed by watches_deadlines where ${isActive("d")} order by d.expires_at limit 1`;
  return `
  c.id, c.source_name, c.scope, c.call_sid, c.status, c.reason, c.details, c.terminal, c.observed_at, c.last_good_poll_at, c.version, c.created_at,
  c.unnotified_from, c.mark, o.account_id, o.created_at as oldest_watch_at, (${newest}) as youngest_watch_at, (${earliest}) as earliest_deadline_at
  from calls c join watches o on o.id = (select id from watches f where ${isActive("f")} order by f.id limit 1)`;
}

const ofAll = columnsOf(false);
const ofEnabled = columnsOf(true);

/**
 * Reads a call with the facts of its active watches, each from the end of an index; `null` if it has none. For operations that
 * write.
 */
export function readWatchedCall(db: Database, callKey: number): WatchedCall | null {
  const row = db.get(`select ${disabledKeys(db).size === 0 ? ofAll : ofEnabled} where c.id = ?`, callKey);
  return row === undefined ? null : watchedCallOf(row);
}

/** Deletes a call without watches. */
export function deleteUnwatchedCall(db: Database, callKey: number): void {
  db.run("delete from calls where id = ?1 and not exists (select 1 from watches w where w.call_id = ?1)", callKey);
}

function loadWatchedCalls(db: Database, page: Parameters<CallStore["loadWatchedCalls"]>[0]): readonly WatchedCall[] {
  return db
    .all(
      `select ${ofEnabled} where c.id in (
         select w.call_id from watches w where w.status = 'active' and ${isOfEnabled("w.account_id")} and w.call_id > ?
         group by w.call_id order by w.call_id limit ?) order by c.id`,
      page.afterCallId === null ? -1 : decodeId(page.afterCallId),
      page.limit,
    )
    .map(watchedCallOf);
}

function parkCalls(db: Database, calls: Parameters<CallStore["parkCalls"]>[0]): readonly WatchedCall[] {
  const polled = new Map(calls.map(({ callId }) => [callId, readWatchedCall(db, decodeId(callId))]));
  releaseCalls(
    db,
    calls.filter(({ callId }) => polled.get(callId) === null),
  );
  return [...polled.values()].filter((call) => call !== null);
}

/** Keeps the time of the last good poll. A single server owns every call, so there is no lease to release. */
function releaseCalls(db: Database, calls: Parameters<CallStore["releaseCalls"]>[0]): void {
  for (const { callId, lastGoodPollAtMs } of calls)
    if (lastGoodPollAtMs !== null) db.run("update calls set last_good_poll_at = ? where id = ?", lastGoodPollAtMs, decodeId(callId));
}

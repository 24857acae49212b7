import { goneMarkOf, statusesOf } from "../../../domain/deliveries/marks.ts";
import type { Mark } from "../../../domain/deliveries/marks.ts";
import { decodeId, encodeId } from "../../../domain/ids.ts";
import type { MarkStore, SweptPortion } from "../../../ports/stores/mark-store.ts";
import { mayErase } from "../../sql/accounts/erasure.ts";
import { markOf, nextMark } from "../../sql/marks/mark-rows.ts";
import type { MarkPortion } from "../../sql/marks/mark-rows.ts";
import { markedWatchColumns, markedWatchOf } from "../../sql/marks/marked-rows.ts";
import { canceledNoticeOf } from "../../sql/canceled-notices.ts";
import { integer } from "../../sql/rows.ts";
import { eraseAccount } from "../accounts/erasure.ts";
import { deleteUnwatchedCall, readWatchedCall } from "../calls/watched-calls.ts";
import type { Database } from "../connection/database.ts";
import { raiseHostDue } from "../deliveries/due-bounds.ts";
import { keysOf, readMarked, writeEffects } from "./marked-deliveries.ts";
import { advanceMark, endMark } from "./set-mark.ts";

export const writes = { sweepMark };

function sweepMark(db: Database, { accountId, nowMs }: Parameters<MarkStore["sweepMark"]>[0]): SweptPortion | Promise<SweptPortion> {
  const row = db.get(nextMark, decodeId(accountId));
  if (row === undefined) return { kind: "nothing" };
  const mark = markOf(row);
  if (mark.kind === "account_removed") return mayErase(mark, nowMs) ? sweepErasure(db, mark) : { kind: "nothing" };
  const { doneKey, rows, settled = 0, unwatchedCallIds = [], resumedCalls = [], notices = [] } = sweepPortion(db, mark, nowMs);
  if (doneKey === null) endMark(db, mark);
  else advanceMark(db, mark, doneKey, settled);
  return { kind: "swept", markKind: mark.kind, done: doneKey === null, rows, unwatchedCallIds, resumedCalls, notices, jobs: [] };
}

async function sweepErasure(db: Database, mark: Mark): Promise<SweptPortion> {
  const { isDone, ...erased } = await eraseAccount(db, mark);
  if (isDone) endMark(db, mark);
  return { kind: "swept", markKind: mark.kind, done: isDone, ...erased, notices: [], jobs: [] };
}

function sweepPortion(db: Database, mark: Mark, nowMs: number): MarkPortion {
  switch (mark.kind) {
    case "gone_watches":
      return endWatches(db, mark, nowMs);
    case "watch_deleted":
      return sweepWatch(db, mark, nowMs);
    case "watch_purged":
      return purgeWatch(db, mark);
    case "calls_resumed":
      return resumeCalls(db, mark);
    case "hosts_opened":
      return openHosts(db, mark);
    default:
      return sweepEndpoint(db, mark, nowMs);
  }
}

/** Ends the next watches of an endpoint that answered 410. */
function endWatches(db: Database, mark: Mark, nowMs: number): MarkPortion {
  const { portion } = db.markSizes;
  const rows = db.all(
    `select w.account_id, w.call_id, w.sequence, ${markedWatchColumns} from watches w join calls c on c.id = w.call_id
     where w.endpoint_id = ? and w.status = 'active' and w.id > ? and w.id <= ? order by w.id limit ?`,
    mark.targetKey,
    mark.doneKey,
    mark.lastKey,
    portion,
  );
  const ended = rows.filter((row) => goneMarkOf(markedWatchOf(row), [mark]) !== null);
  db.run(
    "update watches set status = 'canceled', end_reason = 'gone', ended_at = ? where id in (select value from json_each(?))",
    Math.min(mark.createdAtMs, nowMs),
    JSON.stringify(ended.map((row) => integer(row, "id"))),
  );
  db.counters.countWatches(mark.accountKey, "active", "canceled", ended.length);
  const callKeys = [...new Set(ended.map((row) => integer(row, "call_id")))];
  return {
    doneKey: rows.length < portion ? null : integer(rows.at(-1) ?? {}, "id"),
    rows: ended.length,
    settled: ended.length,
    unwatchedCallIds: callKeys.filter((callKey) => readWatchedCall(db, callKey) === null).map((callKey) => encodeId("call", callKey)),
    notices: ended.map(canceledNoticeOf),
  };
}

/** Finds the calls of the next watches of an account that is enabled again. */
function resumeCalls(db: Database, { accountKey, doneKey }: Mark): MarkPortion {
  const { portion } = db.markSizes;
  const rows = db.all(
    "select id, call_id from watches where account_id = ? and status = 'active' and id > ? order by id limit ?",
    accountKey,
    doneKey,
    portion,
  );
  const calls = [...new Set(rows.map((row) => integer(row, "call_id")))].map((callKey) => readWatchedCall(db, callKey));
  const resumedCalls = calls.filter((call) => call !== null);
  return { doneKey: rows.length < portion ? null : integer(rows.at(-1) ?? {}, "id"), rows: resumedCalls.length, resumedCalls };
}

/** Makes what is pending at the next hosts of an account that is enabled again claimable. */
function openHosts(db: Database, { accountKey, doneKey }: Mark): MarkPortion {
  const { portion } = db.markSizes;
  const keys = keysOf(db, "select id from hosts where account_id = ? and id > ? order by id limit ?", accountKey, doneKey, portion);
  for (const hostKey of keys) for (const failing of [false, true]) raiseHostDue(db, hostKey, failing);
  return { doneKey: keys.length < portion ? null : (keys.at(-1) ?? null), rows: keys.length };
}

/** Changes the next deliveries of an endpoint, in the order of their keys over all statuses that the mark reads. */
function sweepEndpoint(db: Database, mark: Mark, nowMs: number): MarkPortion {
  const { portion } = db.markSizes;
  const ranges = statusesOf(mark.kind).map(
    (status) =>
      `select * from (select id from deliveries where endpoint_id = ?1 and status = '${status}' and id > ?2 and id <= ?3 order by id limit ?4)`,
  );
  const keys = keysOf(
    db,
    `select id from (${ranges.join(" union all ")}) order by id limit ?4`,
    mark.targetKey,
    mark.doneKey,
    mark.lastKey,
    portion,
  );
  const { rows, settled } = writeEffects(db, mark, readMarked(db, keys), nowMs);
  return { doneKey: keys.length < portion ? null : (keys.at(-1) ?? null), rows, settled };
}

/** Cancels the next pending deliveries of a deleted watch. */
function sweepWatch(db: Database, mark: Mark, nowMs: number): MarkPortion {
  const { portion } = db.markSizes;
  const keys = keysOf(
    db,
    "select id from deliveries where watch_id = ? and status = 'pending' and id > ? and id <= ? order by id limit ?",
    mark.targetKey,
    mark.doneKey,
    mark.lastKey,
    portion,
  );
  const { rows } = writeEffects(db, mark, readMarked(db, keys), nowMs);
  return { doneKey: keys.length < portion ? null : (keys.at(-1) ?? null), rows };
}

/** Deletes the next deliveries of a purged watch, then its events, and the watch and its call last. */
function purgeWatch(db: Database, mark: Mark): MarkPortion {
  const { portion } = db.markSizes;
  const deliveries = db.run(
    `delete from deliveries where id in (
       select d.id from events e join deliveries d on d.event_position = e.position where e.watch_id = ? order by e.position limit ?)`,
    mark.targetKey,
    portion,
  );
  if (deliveries > 0) return { doneKey: mark.doneKey, rows: deliveries };
  const events = db.run(
    "delete from events where position in (select position from events where watch_id = ? order by sequence limit ?)",
    mark.targetKey,
    portion,
  );
  if (events === portion) return { doneKey: mark.doneKey, rows: events };
  const watch = db.get("delete from watches where id = ? returning call_id", mark.targetKey);
  if (watch !== undefined) deleteUnwatchedCall(db, integer(watch, "call_id"));
  return { doneKey: null, rows: events + 1 };
}

import { endingThrough } from "../../../domain/calls/call-mark.ts";
import { decodeId, encodeId } from "../../../domain/ids.ts";
import type { Notice } from "../../../ports/stores/call-store.ts";
import type { PatchWatchResult, RegistrationStore, RemoveWatchResult } from "../../../ports/stores/registration-store.ts";
import { patchRow } from "../../sql/registration/patch-watch.ts";
import { id, integer, integerOrNull } from "../../sql/rows.ts";
import { readCallWithWatches, readWatchesBy } from "../calls/active-watches.ts";
import { writeMarkedAlone } from "../calls/commit-call.ts";
import { recordAudit } from "../../sql/audit/audit.ts";
import { watchPurged } from "../../sql/audit/entries.ts";
import { purgePlacingOf } from "../../sql/placings/placings.ts";
import { deleteAnswersOf } from "../../sql/registration/stored-answers.ts";
import { deleteUnwatchedCall, readWatchedCall } from "../calls/watched-calls.ts";
import type { Database } from "../connection/database.ts";
import { cancelPending } from "../deliveries/event-rows.ts";
import { cancelDeliveries, keysOf, readMarked, settleMarked } from "../marks/marked-deliveries.ts";
import { exceedsThreshold, newestPosition, runningMarks, setMark } from "../marks/set-mark.ts";
import { markedWatchColumns } from "../../sql/marks/marked-rows.ts";
import { watchSelect } from "../reading/selects.ts";
import { settleGone } from "../marks/gone-watches.ts";

export const writes = { patchWatch, removeWatch };

const pendingOf = "from deliveries where watch_id = ? and status = 'pending'";
const ofEvents = "from events e join deliveries d on d.event_position = e.position where e.watch_id = ?";

/** Changes an active watch. */
async function patchWatch(db: Database, request: Parameters<RegistrationStore["patchWatch"]>[0]): Promise<PatchWatchResult> {
  const patched = await patchRow(db, watchSelect, request);
  if (patched.kind !== "patched") return { kind: patched.kind };
  const { view, callKey } = patched;
  return { kind: "patched", view, callId: encodeId("call", callKey), call: readWatchedCall(db, callKey) };
}

/** Cancels the pending deliveries of a watch in any state. A watch that has ended keeps its status. */
async function removeWatch(db: Database, request: Parameters<RegistrationStore["removeWatch"]>[0]): Promise<RemoveWatchResult> {
  const { accountId, watchId, nowMs } = request;
  const watchKey = decodeId(watchId);
  const accountKey = decodeId(accountId);
  const row = db.get(
    `select ${markedWatchColumns}, w.call_id, w.sequence from watches w join calls c on c.id = w.call_id
     where w.id = ? and w.account_id = ? and w.status <> 'purged'`,
    watchKey,
    accountKey,
  );
  if (row === undefined) return { kind: "unknown" };
  const callKey = integer(row, "call_id");
  const isGone = settleGone(db, accountKey, row, nowMs);
  const ended = row["c_mark"] === null || request.purge || isGone ? null : endByMark(db, callKey, watchKey, nowMs);
  const active = row["status"] === "active" && !isGone && ended === null;
  if (request.purge) {
    await purgePlacingOf(db, watchKey);
    await deleteAnswersOf(db, watchKey);
    await recordAudit(db, request.by, watchPurged(request));
    purge(db, { accountKey, watchKey, callKey, nowMs, status: active || row["status"] !== "active" ? String(row["status"]) : "canceled" });
  } else {
    remove(db, accountKey, watchKey, nowMs);
    db.run("update watches set deleted_at = ? where id = ? and deleted_at is null", nowMs, watchKey);
    if (active) {
      db.run("update watches set status = 'canceled', end_reason = 'deleted', ended_at = ? where id = ?", nowMs, watchKey);
      db.counters.countWatches(accountKey, "active", "canceled");
    }
  }
  const notices = active
    ? [{ accountId, watchId, callSid: null, sequence: integer(row, "sequence"), eventType: "watch.canceled" }]
    : (ended ?? []);
  return { kind: "removed", callId: id(row, "call", "call_id"), call: readWatchedCall(db, callKey), notices };
}

/** Cancels the pending deliveries of a watch, by a mark if they are many. */
function remove(db: Database, accountKey: number, watchKey: number, nowMs: number): void {
  if (!exceedsThreshold(db, `select 1 ${pendingOf}`, watchKey)) {
    if (runningMarks(db, accountKey).length > 0) settleMarked(db, accountKey, keysOf(db, `select id ${pendingOf}`, watchKey), nowMs);
    return cancelPending(db, "watch_id", watchKey, nowMs);
  }
  cancelDeliveries(db, readMarked(db, leasedOf(db, watchKey)), nowMs);
  const last = db.get(`select max(id) as id ${pendingOf}`, watchKey);
  setMark(db, {
    kind: "watch_deleted",
    accountKey,
    targetKey: watchKey,
    lastKey: integerOrNull(last ?? {}, "id") ?? 0,
    detail: { position: newestPosition(db), held: endpointsOf(db, watchKey) },
    nowMs,
  });
}

/** Ends a watch that a running mark ends, so that it stays as it is shown. Returns `null` if the mark leaves it active. */
function endByMark(db: Database, callKey: number, watchKey: number, nowMs: number): readonly Notice[] | null {
  const found = readCallWithWatches(db, callKey, 0);
  const mark = found?.mark ?? null;
  if (found === null || mark === null) return null;
  const [watch] = readWatchesBy(db, found.call, "watches_active", "w.id = ?", callKey, watchKey, 1);
  if (watch === undefined || endingThrough(watch, mark, watch.sparedBy) === null) return null;
  return writeMarkedAlone(db, callKey, mark, watch, nowMs);
}

type Purge = {
  readonly accountKey: number;
  readonly watchKey: number;
  readonly callKey: number;
  readonly status: string;
  readonly nowMs: number;
};

/** Deletes a watch with its events, their deliveries and attempts; by a mark if they are many. */
function purge(db: Database, { accountKey, watchKey, callKey, status, nowMs }: Purge): void {
  if (
    !exceedsThreshold(db, `select 1 ${ofEvents}`, watchKey) &&
    !exceedsThreshold(db, "select 1 from events where watch_id = ?", watchKey)
  ) {
    if (runningMarks(db, accountKey).length > 0) settleMarked(db, accountKey, keysOf(db, `select id ${pendingOf}`, watchKey), nowMs);
    // Foreign keys delete its events, their deliveries and attempts.
    db.run("delete from watches where id = ?", watchKey);
    return deleteUnwatchedCall(db, callKey);
  }
  // An attempt on the wire finds no lease, as if its delivery were deleted.
  const leased = leasedOf(db, watchKey);
  db.run("update deliveries set lease_token = null where id in (select value from json_each(?))", JSON.stringify(leased));
  for (const { status, endpointKey } of readMarked(db, leased)) if (status === "pending") db.counters.countUnleased(endpointKey, 1);
  db.counters.countPurged(accountKey, status as "active");
  db.run("update watches set status = 'purged', deleted_at = coalesce(deleted_at, ?1), ended_at = null where id = ?2", nowMs, watchKey);
  // A call that only this watch names is unknown again.
  db.run(
    `update calls set status = null, reason = '', details = null, terminal = 0, observed_at = null, last_good_poll_at = null, version = version + 1
     where id = ?1 and not exists (select 1 from watches w where w.call_id = ?1 and w.status <> 'purged')`,
    callKey,
  );
  setMark(db, {
    kind: "watch_purged",
    accountKey,
    targetKey: watchKey,
    lastKey: Number.MAX_SAFE_INTEGER,
    detail: { held: endpointsOf(db, watchKey) },
    nowMs,
  });
}

function leasedOf(db: Database, watchKey: number): readonly number[] {
  return keysOf(db, "select id from deliveries indexed by deliveries_leased where lease_token is not null and +watch_id = ?", watchKey);
}

/** Returns the endpoints that have pending deliveries of a watch. */
function endpointsOf(db: Database, watchKey: number): readonly number[] {
  return db.all(`select distinct endpoint_id ${pendingOf}`, watchKey).map((row) => integer(row, "endpoint_id"));
}

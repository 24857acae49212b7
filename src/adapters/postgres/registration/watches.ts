import { endingThrough } from "../../../domain/calls/call-mark.ts";
import type { CallMark } from "../../../domain/calls/call-mark.ts";
import { decodeId, encodeId } from "../../../domain/ids.ts";
import type { Notice } from "../../../ports/stores/call-store.ts";
import type { PatchWatchResult, RegistrationStore, RemoveWatchResult } from "../../../ports/stores/registration-store.ts";
import { markOf } from "../../sql/call-marks.ts";
import { patchRow } from "../../sql/registration/patch-watch.ts";
import { integer, integerOrNull } from "../../sql/rows.ts";
import { recordAudit } from "../../sql/audit/audit.ts";
import { watchPurged } from "../../sql/audit/entries.ts";
import { purgePlacingOf } from "../../sql/placings/placings.ts";
import { deleteAnswersOf } from "../../sql/registration/stored-answers.ts";
import type { Transaction } from "../connection/transaction.ts";
import { cancelPending } from "../deliveries/event-rows.ts";
import { lockEndpoints, refreshDue } from "../deliveries/due-bounds.ts";
import { isStatus } from "../reading/page.ts";
import { watchSelect } from "../reading/selects.ts";
import { writeMarkedAlone } from "../calls/commit-portion.ts";
import { readOne } from "../calls/crowded-calls.ts";
import { goneMarkOf } from "../../../domain/deliveries/marks.ts";
import type { Mark } from "../../../domain/deliveries/marks.ts";
import { markedWatchColumns, markedWatchOf } from "../../sql/marks/marked-rows.ts";
import type { Row } from "../../sql/rows.ts";
import { endWatches } from "../attempts/ended-watches.ts";
import { isLeased, keysOf, settleMarked } from "../marks/marked-deliveries.ts";
import { exceedsThreshold, newestPosition, runningMarks, setMark } from "../marks/set-mark.ts";
import { deleteUnwatchedCalls, readWatchedCalls, settleWatching } from "../calls/watched-calls.ts";

export const writes = { patchWatch, removeWatch };

const pendingOf = "from deliveries where watch_id = $1 and status = 'pending'";
const ofEvents = "from events e join deliveries d on d.event_position = e.position where e.watch_id = $1";

/** Changes an active watch. The instance that polls its call reads the call again, because the deadline may be another one. */
async function patchWatch(tx: Transaction, request: Parameters<RegistrationStore["patchWatch"]>[0]): Promise<PatchWatchResult> {
  const patched = await patchRow(tx, watchSelect, request);
  if (patched.kind !== "patched") return { kind: patched.kind };
  const { view, callKey } = patched;
  if (request.patch.expiresAtMs !== undefined) {
    tx.changed.add("calls");
    await settleWatching(tx, tx.token, [callKey]);
  }
  return { kind: "patched", view, callId: encodeId("call", callKey), call: await ownCall(tx, callKey) };
}

/** Cancels or purges a watch and its pending deliveries. A watch that has ended keeps its status. */
async function removeWatch(tx: Transaction, request: Parameters<RegistrationStore["removeWatch"]>[0]): Promise<RemoveWatchResult> {
  const { accountId, watchId, nowMs } = request;
  const watchKey = decodeId(watchId);
  const accountKey = decodeId(accountId);
  const watch = await tx.get("select call_id from watches where id = $1 and account_id = $2 and status <> 'purged'", watchKey, accountKey);
  if (watch === undefined) return { kind: "unknown" };
  const callKey = integer(watch, "call_id");
  const callId = encodeId("call", callKey);
  const [call, row, pending] = await Promise.all([
    tx.get("select mark from calls where id = $1 for update", callKey),
    tx.get(
      `select ${markedWatchColumns}, w.account_id, w.call_id, w.sequence from watches w join calls c on c.id = w.call_id where w.id = $1 for update of w`,
      watchKey,
    ),
    tx.all(
      `select distinct d.endpoint_id from events e join deliveries d on d.event_position = e.position
       where e.watch_id = $1 and (${isStatus("d.status", "pending")} or d.lease_token is not null)`,
      watchKey,
    ),
  ]);
  if (row === undefined || row["status"] === "purged") return { kind: "unknown" };
  const marks = await runningMarks(tx, accountKey);
  const gone = goneMarkOf(markedWatchOf(row), marks);
  if (gone !== null) await settleGone(tx, row, gone, nowMs);
  const mark = call === undefined || request.purge || gone !== null ? null : markOf(call);
  const ended = mark === null ? null : await endByMark(tx, callKey, mark, watchKey, nowMs);
  const active = row["status"] === "active" && gone === null && ended === null;
  const endpointKeys = pending.map((delivery) => integer(delivery, "endpoint_id"));
  await lockEndpoints(tx, endpointKeys);
  if (request.purge)
    // A later epoch must not begin at or before an event that a reader has seen.
    await tx.run(
      `update feed_base set purged_to = gone.newest from (select max(feed_order) as newest from events where watch_id = $1) gone
       where gone.newest > purged_to and not exists (select 1 from events where feed_order > gone.newest)`,
      watchKey,
    );
  if (request.purge) await Promise.all([purgePlacingOf(tx, watchKey), deleteAnswersOf(tx, watchKey)]);
  const isMany =
    (await exceedsThreshold(tx, `select 1 ${pendingOf}`, watchKey)) ||
    (request.purge &&
      ((await exceedsThreshold(tx, `select 1 ${ofEvents}`, watchKey)) ||
        (await exceedsThreshold(tx, "select 1 from events where watch_id = $1", watchKey))));
  if (marks.length > 0 && !isMany) await settleMarked(tx, accountKey, await keysOf(tx, `select id ${pendingOf}`, watchKey), nowMs);
  if (request.purge && isMany) await markPurged(tx, { accountKey, watchKey, callKey, endpointKeys, nowMs });
  else if (request.purge) {
    // The foreign keys delete its events, their deliveries and attempts.
    await tx.run("delete from watches where id = $1", watchKey);
    await refreshDue(tx, endpointKeys);
    await deleteUnwatchedCalls(tx, [callKey]);
  } else {
    if (isMany) await markDeleted(tx, { accountKey, watchKey, callKey, endpointKeys, nowMs });
    else await cancelPending(tx, "watch_id", [watchKey], nowMs);
    await tx.run(
      `update watches set deleted_at = coalesce(deleted_at, $2), status = case when status = 'active' then 'canceled' else status end,
         end_reason = case when status = 'active' then 'deleted' else end_reason end, ended_at = case when status = 'active' then $2 else ended_at end
       where id = $1`,
      watchKey,
      nowMs,
    );
  }
  tx.changed.add("watches");
  if (!active && ended === null) {
    if (request.purge) await recordAudit(tx, request.by, watchPurged(request));
    return { kind: "removed", callId, call: await ownCall(tx, callKey), notices: [] };
  }
  tx.changed.add("calls");
  await settleWatching(tx, tx.token, [callKey]);
  if (request.purge) await recordAudit(tx, request.by, watchPurged(request));
  const canceled = { accountId, watchId, callSid: null, sequence: integer(row, "sequence"), eventType: "watch.canceled" };
  const notices = ended ?? [canceled];
  return { kind: "removed", callId, call: await ownCall(tx, callKey), notices };
}

/** Ends a watch that a running mark ends, so that it stays as it is shown. Returns `null` if the mark leaves it active. */
async function endByMark(
  tx: Transaction,
  callKey: number,
  mark: CallMark,
  watchKey: number,
  nowMs: number,
): Promise<readonly Notice[] | null> {
  const watch = await readOne(tx, watchKey);
  if (watch === null || endingThrough(watch, mark, watch.sparedBy) === null) return null;
  return writeMarkedAlone(tx, callKey, mark, watch, nowMs);
}

/** Returns the call with its remaining active watches; `null` if it has none or this instance does not own it. */
async function ownCall(tx: Transaction, callKey: number) {
  const [owned, [call]] = await Promise.all([
    tx.get("select 1 from calls where id = $1 and owner_token = $2", callKey, tx.token),
    readWatchedCalls(tx, [callKey]),
  ]);
  return owned === undefined ? null : (call ?? null);
}

/** Ends a locked watch that a mark has ended ahead of its portion. */
async function settleGone(tx: Transaction, row: Row, mark: Mark, nowMs: number): Promise<void> {
  await endWatches(tx, [integer(row, "id")], Math.min(mark.createdAtMs, nowMs));
  await tx.run("update marks set remaining = greatest(0, remaining - 1) where id = $1", mark.key);
}

type Marked = {
  readonly accountKey: number;
  readonly watchKey: number;
  readonly callKey: number;
  /** Locked endpoints that have pending deliveries of the watch. */
  readonly endpointKeys: readonly number[];
  readonly nowMs: number;
};

const leasedOf = `${isLeased} and (watch_id + 0) = $1`;

/** Cancels the leased deliveries of a watch and sets a mark for its other pending ones. */
async function markDeleted(tx: Transaction, { accountKey, watchKey, endpointKeys, nowMs }: Marked): Promise<void> {
  await tx.run(
    `update deliveries set status = 'canceled', settled_at = $2, next_attempt_at = null, due_at = null, retry_accepted_at = null where ${leasedOf} and ${isStatus("status", "pending")}`,
    watchKey,
    nowMs,
  );
  const last = await tx.get(`select max(id) as id ${pendingOf}`, watchKey);
  const detail = { position: await newestPosition(tx), held: endpointKeys };
  const lastKey = integerOrNull(last ?? {}, "id") ?? 0;
  await setMark(tx, { kind: "watch_deleted", accountKey, targetKey: watchKey, lastKey, detail, nowMs });
}

/** Hides a watch and sets a mark that deletes it with its events. */
async function markPurged(tx: Transaction, { accountKey, watchKey, callKey, endpointKeys, nowMs }: Marked): Promise<void> {
  // An attempt on the wire finds no lease, as if its delivery were deleted.
  await tx.run(`update deliveries set lease_owner = null, lease_token = null where ${leasedOf}`, watchKey);
  await tx.run(
    "update watches set status = 'purged', deleted_at = coalesce(deleted_at, $1), ended_at = null where id = $2",
    nowMs,
    watchKey,
  );
  // A call that only this watch names is unknown again.
  await tx.run(
    `update calls set status = null, reason = '', details = null, terminal = false, observed_at = null, last_good_poll_at = null, version = version + 1
     where id = $1 and not exists (select 1 from watches w where w.call_id = $1 and (w.status || '') <> 'purged')`,
    callKey,
  );
  const lastKey = Number.MAX_SAFE_INTEGER;
  await setMark(tx, { kind: "watch_purged", accountKey, targetKey: watchKey, lastKey, detail: { held: endpointKeys }, nowMs });
}

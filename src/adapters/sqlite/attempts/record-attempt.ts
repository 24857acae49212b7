import { attemptColumns, deliveryStateOf, namesOf, stateColumns } from "../../sql/delivery-columns.ts";
import { recordedOf } from "../../sql/attempt-recorded.ts";
import { attemptToDelete } from "../../../domain/deliveries/attempt.ts";
import type { Attempt } from "../../../domain/deliveries/attempt.ts";
import { changesOnlyDelivery, decideAfterAttempt, hasHostChanged } from "../../../domain/deliveries/delivery-decision.ts";
import type { DeliveryStatus } from "../../../domain/deliveries/delivery.ts";
import type { AttemptResult } from "../../../domain/deliveries/delivery-decision.ts";
import { hasEndpointChanged } from "../../../domain/deliveries/endpoint.ts";
import { placeAfterAttempt } from "../../../domain/deliveries/lane.ts";
import type { EventType } from "../../../domain/events/event.ts";
import { causesOperationalEvents, operationalEventsAfter } from "../../../domain/events/operational-events.ts";
import { decodeId } from "../../../domain/ids.ts";
import type { AttemptRecord, AttemptRecorded } from "../../../ports/stores/delivery-store.ts";
import { id, idOrNull, integer, integerOrNull, text, textOrNull } from "../../sql/rows.ts";
import type { Database, Row } from "../connection/database.ts";
import type { CachedTarget } from "../connection/row-cache.ts";
import { hostDueAt, raiseHostDue, refreshDue } from "../deliveries/due-bounds.ts";
import { refreshLane, supersede } from "../deliveries/lanes.ts";
import { readTarget } from "../deliveries/send-jobs.ts";
import { recordPlainSuccess } from "./plain-success.ts";
import { publishOperationalEvent } from "./operational-events.ts";
import { retireEndpoint } from "./retire-endpoint.ts";
import type { RetireResult } from "../../sql/canceled-notices.ts";

export const writes = { recordAttempt };

/** Writes attempt, delivery, lane, endpoint and host in one transaction, as `decideAfterAttempt` decides from the current rows. */
function recordAttempt(db: Database, record: AttemptRecord): AttemptRecorded {
  return recordPlainSuccess(db, record) ?? recordDecided(db, record);
}

function recordDecided(db: Database, record: AttemptRecord): AttemptRecorded {
  const row = db.get(
    `select d.*, e.id as event_id, e.type as event_type, e.call_sid from deliveries d join events e on e.position = d.event_position where d.id = ?`,
    decodeId(record.deliveryId),
  );
  if (row === undefined || row["lease_token"] !== record.leaseToken) return { kind: "fenced" };
  const endpointKey = integer(row, "endpoint_id");
  const before = readTarget(db, endpointKey);
  const result = decide(db, record, row, before);
  writeAttempt(db, integer(row, "id"), result.attempt);
  if (row["event_type"] !== "endpoint.test")
    db.counters.countAttempt(endpointKey, result.attempt.decision, {
      accountKey: integer(row, "account_id"),
      createdAtMs: integer(row, "created_at"),
      endedAtMs: record.nowMs,
      hadArrived: row["status"] === "delivered",
    });
  writeDelivery(db, row, result);
  writeEndpoint(db, before, result);
  writeHost(db, before, result);
  const bounds = readBounds(db, before);
  const laneHasMore = writeLane(db, row, result, before.target.late, record.nowMs);
  const retired: RetireResult =
    result.endpointChange === "disabled_gone" ? retireEndpoint(db, endpointKey, record.nowMs) : { unwatchedCallIds: [], notices: [] };
  const about = {
    accountId: id(row, "acc", "account_id"),
    endpointId: id(row, "ep", "endpoint_id"),
    eventType: text(row, "event_type") as EventType,
    watchId: idOrNull(row, "wch", "watch_id"),
    callSid: textOrNull(row, "call_sid"),
    hookIds: result.endpointChange === "none" ? [] : readHookIds(db, endpointKey),
  };
  const published = operationalEventsAfter(about, result, record.nowMs).map((draft) => publishOperationalEvent(db, draft));
  return recordedOf(result, {
    jobs: published.flatMap(({ jobs }) => jobs),
    endpointNextDueAtMs: !laneHasMore && areBoundsCurrent(before, bounds, result) ? bounds.hostDueAtMs : refreshBounds(db, before),
    unwatchedCallIds: retired.unwatchedCallIds,
    notices: [...retired.notices, ...published.flatMap(({ notices }) => notices)],
  });
}

function readHookIds(db: Database, endpointKey: number): readonly string[] {
  return db.all("select id from hooks where endpoint_id = ? order by id", endpointKey).map((hook) => id(hook, "hk", "id"));
}

function decide(db: Database, record: AttemptRecord, row: Row, { target, endpoint, host }: CachedTarget): AttemptResult {
  const { outcome, startedAtMs, durationMs, mode, nowMs, jitter } = record;
  return decideAfterAttempt(
    {
      delivery: deliveryStateOf(row),
      attempt: { number: integer(row, "attempt_count") + 1, startedAtMs, durationMs, outcome, mode },
      endpointId: target.id,
      origin: target.origin,
      endpoint,
      host,
      isTest: row["event_type"] === "endpoint.test",
      isReported: causesOperationalEvents(text(row, "event_type")),
    },
    db.policy,
    { nowMs, jitter },
  );
}

const insertAttempt = `insert into attempts (delivery_id, ${namesOf(attemptColumns)}) values (?, ${attemptColumns.map(() => "?").join(", ")})`;

function writeAttempt(db: Database, deliveryKey: number, attempt: Attempt): void {
  db.run(insertAttempt, deliveryKey, ...attemptColumns.map((column) => column.valueOf(attempt)));
  const obsolete = attemptToDelete(attempt);
  if (obsolete !== null) db.run("delete from attempts where delivery_id = ? and number = ?", deliveryKey, obsolete);
}

const updateDelivery = `update deliveries set ${stateColumns.map(({ name }) => `${name} = ?`).join(", ")}, due_at = ?, early_after = ?, lease_token = null, retry_accepted_at = null where id = ?`;

function writeDelivery(db: Database, row: Row, { delivery }: AttemptResult): void {
  const current = { dueAtMs: integerOrNull(row, "due_at"), earlyAfter: integerOrNull(row, "early_after") };
  const { dueAtMs, earlyAfter } = placeAfterAttempt(delivery, { isInLane: row["sequence"] !== null, current });
  db.run(updateDelivery, ...stateColumns.map((column) => column.valueOf(delivery)), dueAtMs, earlyAfter, integer(row, "id"));
  // The lease that the attempt had is over.
  if (delivery.status === "pending") db.counters.countUnleased(integer(row, "endpoint_id"), 1);
  if (row["status"] !== delivery.status) db.counters.countDeliveries(text(row, "status") as DeliveryStatus, delivery.status);
}

function writeEndpoint(db: Database, before: CachedTarget, { endpoint }: AttemptResult): void {
  if (!hasEndpointChanged(before.endpoint, endpoint)) return;
  db.cache.forgetEndpoint(before.key);
  const { health } = endpoint;
  db.run(
    `update endpoints set state = ?, reason = ?, since = ?, consecutive_failures = ?, failing_since = ?, last_success_at = ?, paused_until = ?,
       paused_since = ?, consecutive_pauses = ?, pause_reason = ?, recoveries = ?, recovered_at = ?, reported_failing = ? where id = ?`,
    endpoint.state,
    endpoint.reason,
    endpoint.sinceMs,
    health.consecutiveFailures,
    health.failingSinceMs,
    health.lastSuccessAtMs,
    health.pausedUntilMs,
    health.pausedSinceMs,
    health.consecutivePauses,
    health.pauseReason,
    health.recoveries,
    health.recoveredAtMs,
    health.isReportedFailing,
    before.key,
  );
}

function writeHost(db: Database, before: CachedTarget, { host }: AttemptResult): void {
  if (!hasHostChanged(before.host, host)) return;
  db.cache.forgetHost(before.hostKey);
  // Raises the bounds to the end of the pause, because a claim would find nothing due before.
  db.run(
    `update hosts set paused_until = ?1, paused_since = ?4, consecutive_pauses = ?2, rate_limited_endpoint_id = ?5, rate_limited_at = ?6,
       other_rate_limited_at = ?7, next_due_at = max(next_due_at, coalesce(?1, 0)), failing_due_at = max(failing_due_at, coalesce(?1, 0))
     where id = ?3`,
    host.pausedUntilMs,
    host.consecutivePauses,
    before.hostKey,
    host.pausedSinceMs,
    host.rateLimits.endpointId === null ? null : decodeId(host.rateLimits.endpointId),
    host.rateLimits.atMs,
    host.rateLimits.otherAtMs,
  );
}

/** Returns whether the delivery's lane has a pending delivery left, itself included. */
function writeLane(db: Database, row: Row, { delivery, attempt }: AttemptResult, late: "send" | "drop", nowMs: number): boolean {
  const watchKey = integerOrNull(row, "watch_id");
  const sequence = integerOrNull(row, "sequence");
  if (watchKey === null || sequence === null) return false;
  const endpointKey = integer(row, "endpoint_id");
  if (late === "drop" && attempt.decision === "delivered" && delivery.status === "delivered")
    supersede(db, { watchKey, endpointKey, late }, sequence, nowMs);
  return refreshLane(db, watchKey, endpointKey);
}

/**
 * Returns whether the bounds of endpoint and host are still right: the delivery is settled and was alone, or nothing of its
 * endpoint and host changed. A leased delivery is in no bound. This holds for most deliveries and saves four statements.
 */
function areBoundsCurrent(before: CachedTarget, { nextDueAtMs, hostDueAtMs }: Bounds, result: AttemptResult): boolean {
  if (changesOnlyDelivery(before, result)) return true;
  return result.delivery.status === "delivered" && result.endpointChange === "none" && nextDueAtMs === null && hostDueAtMs === null;
}

/** Recomputes the bounds of endpoint and host. Returns the host's bound, because a success may let other endpoints of the host start. */
function refreshBounds(db: Database, { key, hostKey }: CachedTarget): number | null {
  refreshDue(db, key);
  for (const failing of [false, true]) raiseHostDue(db, hostKey, failing);
  return readBounds(db, { key, hostKey }).hostDueAtMs;
}

/** Bounds of an endpoint, and the earlier one of its host. */
type Bounds = { readonly nextDueAtMs: number | null; readonly hostDueAtMs: number | null };

function readBounds(db: Database, { key, hostKey }: Pick<CachedTarget, "key" | "hostKey">): Bounds {
  const row = db.get(
    `select (select next_due_at from endpoints where id = ?1) as next_due_at, ${hostDueAt} as host_due_at from hosts where id = ?2`,
    key,
    hostKey,
  );
  if (row === undefined) throw new Error(`no host ${hostKey}`);
  return { nextDueAtMs: integerOrNull(row, "next_due_at"), hostDueAtMs: integerOrNull(row, "host_due_at") };
}

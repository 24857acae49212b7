import { adapt, stateColumns } from "../../sql/delivery-columns.ts";
import type { Column } from "../../sql/delivery-columns.ts";
import { arraysOf, unnestAs } from "../connection/unnest.ts";
import { recordedOf } from "../../sql/attempt-recorded.ts";
import { changesOnlyDelivery, decideAfterAttempt } from "../../../domain/deliveries/delivery-decision.ts";
import type { AttemptInput, AttemptResult } from "../../../domain/deliveries/delivery-decision.ts";
import type { DeliveryState } from "../../../domain/deliveries/delivery.ts";
import type { DeliveryPolicy } from "../../../domain/deliveries/retry-policy.ts";
import { decodeId } from "../../../domain/ids.ts";
import type { AttemptRecord, AttemptRecorded } from "../../../ports/stores/delivery-store.ts";
import { integer, integerOrNull } from "../../sql/rows.ts";
import type { Transaction } from "../connection/transaction.ts";
import { isStatus, unindexedKey } from "../reading/page.ts";

/** A first attempt that delivers its delivery and changes nothing else, if endpoint, host and lane are as the statement asks. */
export type PlainSuccess = { readonly record: AttemptRecord; readonly result: AttemptResult };

/** Returns the result of an attempt as a plain success; `null` if it cannot be one. */
export function asPlainSuccess(policy: DeliveryPolicy, record: AttemptRecord): PlainSuccess | null {
  const { deliveryId, outcome, startedAtMs, durationMs, mode, nowMs, jitter } = record;
  if (record.attemptNumber !== 1 || mode !== "scheduled") return null;
  const attempt = { number: 1, startedAtMs, durationMs, outcome, mode };
  const before = healthy(nowMs);
  const result = decideAfterAttempt({ delivery: { ...untried, id: deliveryId }, attempt, ...before }, policy, { nowMs, jitter });
  return changesOnlyDelivery(before, result) ? { record, result } : null;
}

/**
 * Records plain successes by one statement that checks each of them. The result of a delivery is `null` if it is none: it has
 * an unhealthy endpoint or host, another pending delivery in its lane, an earlier attempt, or no watch, was canceled meanwhile
 * or lost its lease. Then `recordAttempts` records the attempt, in a transaction of its own: this one holds deliveries, and
 * must not wait for endpoints. Most attempts are plain successes. They do not lock endpoint and host, whose rows all instances
 * use, so instances do not wait for each other's commits.
 *
 * This is safe. A concurrent change of the endpoint (a failure, a pause) could as well have happened after the success,
 * because the success changes nothing on the endpoint. The lock of the watch protects the lane, and also the delivery
 * against a concurrent requeue; deliveries without a watch (tests, operational events) have no such lock, so they are
 * excluded. No due bound changes, because leased deliveries are in no bound (see due-bounds.ts). `last_success_at` is
 * skipped if another transaction has locked the endpoint, and written by one of the next successes.
 */
export async function recordPlainSuccesses(
  tx: Transaction,
  successes: readonly PlainSuccess[],
): Promise<readonly (AttemptRecorded | null)[]> {
  // Deliveries are locked in the order of their keys.
  const keyed = successes.map((success) => ({ ...success, key: decodeId(success.record.deliveryId) }));
  const ordered = keyed.toSorted((a, b) => a.key - b.key);
  const [, rows] = await Promise.all([
    tx.run(
      "select 1 from watches where id = any(array(select watch_id from deliveries where id = any($1))) order by id for no key update",
      ordered.map(({ key }) => key),
    ),
    // A statement after the lock, so that it reads what a transition has put behind a delivery.
    tx.all(writeSuccesses, ...arraysOf(boundColumns, ordered)),
  ]);
  const recorded = new Map(rows.map((row) => [integer(row, "id"), row]));
  return keyed.map(({ key, result }) => {
    const row = recorded.get(key);
    return row === undefined ? null : recordedOf(result, { endpointNextDueAtMs: integerOrNull(row, "host_due_at") });
  });
}

const untried: Omit<DeliveryState, "id"> = {
  status: "pending",
  attemptCount: 0,
  stepsSpent: 0,
  nextAttemptAtMs: null,
  firstAttemptAtMs: null,
  firstFailedAtMs: null,
  settledAtMs: null,
};
const noPause = { pausedUntilMs: null, pausedSinceMs: null, consecutivePauses: 0 };

/** Returns the state that `isHealthy` asks for. Of a success, neither id nor origin of the endpoint matters. */
function healthy(nowMs: number): Omit<AttemptInput, "delivery" | "attempt"> {
  const health = { ...noPause, consecutiveFailures: 0, failingSinceMs: null, lastSuccessAtMs: nowMs, pauseReason: null };
  return {
    endpointId: "",
    origin: "",
    endpoint: { state: "enabled", reason: null, sinceMs: null, health },
    host: { ...noPause, rateLimits: { endpointId: null, atMs: null, otherAtMs: null } },
    isTest: false,
  };
}

const isHealthy = `p.state = 'enabled' and p.consecutive_failures = 0 and p.failing_since is null and p.paused_until is null
  and p.consecutive_pauses = 0 and h.paused_until is null and h.consecutive_pauses = 0`;

type Keyed = PlainSuccess & { readonly key: number };

const decidedColumns = stateColumns.filter(({ onPlainSuccess }) => onPlainSuccess === "decided");
const writtenColumns: readonly Column<Keyed>[] = [
  ...decidedColumns.map((column) => adapt(column, ({ result }: Keyed) => result.delivery)),
  { name: "attempt_duration_ms", type: "integer", valueOf: ({ result }) => Math.round(result.attempt.durationMs) },
  { name: "attempt_status_code", type: "integer", valueOf: ({ result }) => result.attempt.statusCode },
  { name: "attempt_response_excerpt", type: "text", valueOf: ({ result }) => result.attempt.responseExcerpt },
];
const boundColumns: readonly Column<Keyed>[] = [
  { name: "id", type: "bigint", valueOf: ({ key }) => key },
  { name: "lease_token", type: "bigint", valueOf: ({ record }) => record.leaseToken },
  ...writtenColumns,
];
const constants = stateColumns.flatMap(({ name, onPlainSuccess }) =>
  typeof onPlainSuccess === "object" ? [`${name} = ${onPlainSuccess.constant}`] : [],
);
const assignments = [...constants, ...writtenColumns.map(({ name }) => `${name} = t.${name}`)];

// Each table is reached by its key alone: what else a delivery must be is written so that no index serves it.
const writeSuccesses = `with taken as (
    update deliveries d set ${assignments.join(", ")}, due_at = null, lease_owner = null, lease_token = null
    from (
      select u.*, p.last_success_at, least(h.next_due_at, h.failing_due_at) as host_due_at from ${unnestAs("u", boundColumns)}
      cross join lateral (select watch_id, endpoint_id from deliveries where id = u.id limit 1) o
      join endpoints p on p.id = o.endpoint_id join hosts h on h.id = p.host_id
      where ${isHealthy} and o.watch_id is not null and (
        select 1 from deliveries w
        where w.watch_id = o.watch_id and ${unindexedKey("w.endpoint_id")} = o.endpoint_id and w.status = 'pending' and w.id <> u.id limit 1) is null) t
    where d.id = t.id and ${unindexedKey("d.lease_token")} = t.lease_token and ${isStatus("d.status", "pending")} and d.attempt_count = 0
    returning d.id, d.endpoint_id, d.settled_at, t.last_success_at, t.host_due_at),
  outdated as (
    select p.id, s.at from (
      select endpoint_id, max(settled_at) as at from taken
      where last_success_at is null or settled_at - last_success_at not between 0 and 999 group by endpoint_id) s
    join endpoints p on p.id = s.endpoint_id for no key update of p skip locked),
  touched as (update endpoints p set last_success_at = o.at from outdated o where p.id = o.id)
  select id, host_due_at from taken`;

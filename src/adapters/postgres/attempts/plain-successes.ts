import { activityKinds, durationBoundsMs } from "../../../domain/activity.ts";
import type { Column } from "../../sql/delivery-columns.ts";
import { isHealthy, plainSuccessColumns, plainSuccessConstants } from "../../sql/plain-success.ts";
import type { PlainSuccess } from "../../sql/plain-success.ts";
import { arraysOf, unnestAs } from "../connection/unnest.ts";
import { recordedOf } from "../../sql/attempt-recorded.ts";
import { decodeId } from "../../../domain/ids.ts";
import type { AttemptRecorded } from "../../../ports/stores/delivery-store.ts";
import { integer, integerOrNull } from "../../sql/rows.ts";
import type { Transaction } from "../connection/transaction.ts";
import { isStatus, unindexedKey } from "../reading/page.ts";

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

type Keyed = PlainSuccess & { readonly key: number };

const boundColumns: readonly Column<Keyed>[] = [
  { name: "id", type: "bigint", valueOf: ({ key }) => key },
  { name: "lease_token", type: "bigint", valueOf: ({ record }) => record.leaseToken },
  ...plainSuccessColumns,
];
const assignments = [...plainSuccessConstants, ...plainSuccessColumns.map(({ name }) => `${name} = t.${name}`)];

const durations = `array[${durationBoundsMs.join(", ")}]::bigint[]`;

// Each table is reached by its key alone: what else a delivery must be is written so that no index serves it.
const writeSuccesses = `with taken as (
    update deliveries d set ${assignments.join(", ")}, lease_owner = null
    from (
      select u.*, p.last_success_at, least(h.next_due_at, h.failing_due_at) as host_due_at from ${unnestAs("u", boundColumns)}
      cross join lateral (select watch_id, endpoint_id from deliveries where id = u.id limit 1) o
      join endpoints p on p.id = o.endpoint_id join hosts h on h.id = p.host_id
      where ${isHealthy} and o.watch_id is not null and (
        select 1 from deliveries w
        where w.watch_id = o.watch_id and ${unindexedKey("w.endpoint_id")} = o.endpoint_id and w.status = 'pending' and w.id <> u.id limit 1) is null) t
    where d.id = t.id and ${unindexedKey("d.lease_token")} = t.lease_token and ${isStatus("d.status", "pending")} and d.attempt_count = 0
    returning d.id, d.account_id, d.endpoint_id, d.created_at, d.settled_at, t.last_success_at, t.host_due_at),
  outdated as (
    select p.id, s.at from (
      select endpoint_id, max(settled_at) as at from taken
      where last_success_at is null or settled_at - last_success_at not between 0 and 999 group by endpoint_id) s
    join endpoints p on p.id = s.endpoint_id for no key update of p skip locked),
  counted as (
    insert into endpoint_attempt_changes (endpoint_id, at, succeeded, failed)
      select endpoint_id, settled_at - settled_at % 60000, count(*), 0 from taken group by 1, 2),
  active as (
    insert into account_activity_changes (account_id, at, kind, n)
      select account_id, settled_at - settled_at % 60000, ${activityKinds.delivered} + width_bucket(settled_at - created_at, ${durations}), count(*)
      from taken group by 1, 2, 3),
  touched as (update endpoints p set last_success_at = o.at from outdated o where p.id = o.id)
  select id, host_due_at from taken`;

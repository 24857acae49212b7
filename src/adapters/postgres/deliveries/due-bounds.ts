import type { Row } from "../../sql/rows.ts";
import { integerOrNull, text } from "../../sql/rows.ts";
import type { Queries } from "../connection/queries.ts";
import type { Transaction } from "../connection/transaction.ts";
import { isStatus } from "../reading/page.ts";

/*
 * Who is due is found from the top: hosts -> endpoints -> deliveries, each level with an index on the level's earliest
 * due time. So ten thousand owed to a dead endpoint, or a hundred thousand endpoints on a paused host, are one row to
 * whoever looks for work. The upper levels hold lower bounds:
 *
 * - endpoints.next_due_at is never later than its earliest claimable delivery, or its own pause if that ends later;
 *   null means that it has none.
 * - hosts.next_due_at is never later than that of any enabled endpoint without failures, or the host's own pause if that
 *   ends later; hosts.failing_due_at the same for enabled endpoints with failures.
 *
 * Whatever makes something claimable earlier lowers them in the same transaction; a bound that turns out too low is
 * raised by the claim that finds nothing there. A bound too high would be a delivery forgotten.
 *
 * A bound is computed only by whoever has locked its row, in a statement after the one that locked it: a statement sees
 * what was committed when it began, so one that both waits for the lock and computes would overlook what the other wrote.
 */

/** Locks endpoints for a change, in the order everybody does. `id`, `host_id` and `max_in_flight` of each. */
export async function lockEndpoints(tx: Transaction, endpointIds: readonly string[]): Promise<readonly Row[]> {
  return tx.all("select id, host_id, max_in_flight from endpoints where id = any($1) order by id for no key update", endpointIds);
}

/** Something of these (locked) endpoints may be claimed from then on. */
export async function lowerDue(tx: Transaction, earliest: ReadonlyMap<string, number>): Promise<void> {
  if (earliest.size === 0) return;
  const endpointIds = [...earliest.keys()];
  await Promise.all([
    tx.run(
      `update endpoints p set next_due_at = greatest(u.due_at, p.paused_until) from unnest($1::text[], $2::bigint[]) as u(id, due_at)
       where p.id = u.id and (p.next_due_at is null or p.next_due_at > greatest(u.due_at, p.paused_until))`,
      endpointIds,
      [...earliest.values()],
    ),
    lowerHosts(tx, endpointIds),
  ]);
}

/** Sets the bounds of these (locked) endpoints to what their deliveries say, and lowers their hosts' to them: nothing is assumed of what was there. */
export async function refreshDue(tx: Transaction, endpointIds: readonly string[]): Promise<void> {
  if (endpointIds.length === 0) return;
  await Promise.all([refreshEndpoints(tx, endpointIds), lowerHosts(tx, endpointIds)]);
}

/** Sets the bounds of these (locked) endpoints to what their deliveries say. */
export async function refreshEndpoints(tx: Transaction, endpointIds: readonly string[]): Promise<void> {
  await tx.run(
    `update endpoints p set next_due_at = due.at from endpoints o cross join lateral (
       select case when min(d.due_at) is not null then greatest(min(d.due_at), o.paused_until) end as at from deliveries d
       where d.endpoint_id = o.id and d.status = 'pending' and d.lease_token is null and d.due_at is not null) due
     where o.id = any($1) and p.id = o.id and p.next_due_at is distinct from due.at`,
    endpointIds,
  );
}

/** Locks the hosts and sets both their bounds to the earliest of their endpoints. Each host's earliest by its id; null: none. */
export async function raiseHosts(tx: Transaction, hostIds: readonly number[]): Promise<ReadonlyMap<number, number | null>> {
  const [, , rows] = await Promise.all([
    tx.run("select 1 from hosts where id = any($1) order by id for no key update", hostIds),
    tx.run(
      `update hosts h set next_due_at = due.healthy, failing_due_at = due.failing
       from hosts o cross join lateral (select ${earliestOf("o", false)} as healthy, ${earliestOf("o", true)} as failing) due
       where o.id = any($1) and h.id = o.id and (h.next_due_at is distinct from due.healthy or h.failing_due_at is distinct from due.failing)`,
      hostIds,
    ),
    tx.all("select id, least(next_due_at, failing_due_at) as due_at from hosts where id = any($1)", hostIds),
  ]);
  return new Map(rows.map((row) => [row["id"] as number, integerOrNull(row, "due_at")]));
}

function earliestOf(host: string, failing: boolean): string {
  return `(select greatest(p.next_due_at, ${host}.paused_until) from endpoints p
    where p.host_id = ${host}.id and p.failing = ${failing} and p.state = 'enabled' and p.next_due_at is not null order by p.next_due_at limit 1)`;
}

/** Never leaves a host's bound later than that of one of these endpoints. */
async function lowerHosts(tx: Transaction, endpointIds: readonly string[]): Promise<void> {
  await Promise.all([
    tx.run(
      `select 1 from hosts where id = any(array(select host_id from endpoints where id = any($1) and next_due_at is not null)) order by id for no key update`,
      endpointIds,
    ),
    tx.run(
      `update hosts h set next_due_at = least(h.next_due_at, due.healthy), failing_due_at = least(h.failing_due_at, due.failing)
       from (
         select p.host_id, greatest(min(p.next_due_at) filter (where not p.failing), min(o.paused_until) filter (where not p.failing)) as healthy,
           greatest(min(p.next_due_at) filter (where p.failing), min(o.paused_until) filter (where p.failing)) as failing
         from endpoints p join hosts o on o.id = p.host_id
         where p.id = any($1) and ${isStatus("p.state", "enabled")} and p.next_due_at is not null group by p.host_id) due
       where h.id = due.host_id and (due.healthy < h.next_due_at or due.failing < h.failing_due_at
         or (h.next_due_at is null and due.healthy is not null) or (h.failing_due_at is null and due.failing is not null))`,
      endpointIds,
    ),
  ]);
}

/** Gives leases back, of endpoints that are locked: a test is made for one moment and ends with it, everything else is due as it was. */
async function freeLeases(tx: Transaction, deliveryIds: readonly string[], endpointIds: readonly string[], nowMs: number): Promise<void> {
  if (deliveryIds.length === 0) return;
  await tx.run(
    `update deliveries set lease_owner = null, lease_token = null,
       status = case when status = 'pending' and next_attempt_at is null then 'canceled' else status end,
       settled_at = case when status = 'pending' and next_attempt_at is null then $2 else settled_at end
     where id = any($1)`,
    deliveryIds,
    nowMs,
  );
  await refreshDue(tx, endpointIds);
  tx.changed.add("deliveries");
}

/** What instances that are gone had leased is due again, as it was. */
export async function freeLeasesOf(tx: Transaction, tokens: readonly number[], nowMs: number): Promise<void> {
  const endpointIds = await endpointsOf(
    tx,
    "select distinct endpoint_id from deliveries where lease_owner = any($1) and lease_token is not null",
    [tokens],
  );
  await lockEndpoints(tx, endpointIds);
  const rows = await tx.all(
    "select id from deliveries where lease_owner = any($1) and lease_token is not null and endpoint_id = any($2)",
    tokens,
    endpointIds,
  );
  await freeLeases(
    tx,
    rows.map((row) => text(row, "id")),
    endpointIds,
    nowMs,
  );
}

/** Gives back the leases that are still held. */
export async function freeLeasesHeld(
  tx: Transaction,
  leases: readonly { readonly deliveryId: string; readonly leaseToken: number }[],
  nowMs: number,
): Promise<void> {
  const deliveryIds = leases.map(({ deliveryId }) => deliveryId);
  const endpointIds = await endpointsOf(tx, "select distinct endpoint_id from deliveries where id = any($1)", [deliveryIds]);
  await lockEndpoints(tx, endpointIds);
  const rows = await tx.all(
    "select d.id from deliveries d join unnest($1::text[], $2::bigint[]) as u(id, lease_token) on d.id = u.id and d.lease_token = u.lease_token",
    deliveryIds,
    leases.map(({ leaseToken }) => leaseToken),
  );
  await freeLeases(
    tx,
    rows.map((row) => text(row, "id")),
    endpointIds,
    nowMs,
  );
}

async function endpointsOf(db: Queries, sql: string, values: Parameters<Queries["all"]>[1][]): Promise<readonly string[]> {
  return (await db.all(sql, ...values)).map((row) => text(row, "endpoint_id"));
}

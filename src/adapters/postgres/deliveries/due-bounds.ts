import type { Row } from "../../sql/rows.ts";
import { integerOrNull } from "../../sql/rows.ts";
import { isOfEnabled } from "../accounts/disabled-accounts.ts";
import type { Transaction } from "../connection/transaction.ts";
import { isStatus } from "../reading/page.ts";

/*
 * A claim finds due deliveries top-down: hosts, then endpoints, then deliveries. Each level is indexed by its earliest due
 * time, so that ten thousand pending deliveries of a dead endpoint, or a hundred thousand endpoints on a paused host, cost
 * a claim one row. The upper levels hold lower bounds:
 *
 * - endpoints.next_due_at is never later than the endpoint's earliest claimable delivery, or the end of its pause if that
 *   is later; null if the endpoint has no claimable delivery. What a recovery brings forward is claimable from the recovery on.
 * - hosts.next_due_at is never later than the bound of any enabled endpoint without failures, or the end of the host's
 *   pause if that is later; hosts.failing_due_at is the same bound for enabled endpoints with failures.
 *
 * A transaction that makes a delivery claimable earlier also lowers the bounds. A bound that is too low is raised by the
 * claim that finds nothing behind it. A bound that is too high would hide a delivery forever.
 *
 * The claims raise the bounds of the hosts of a disabled account to null. Once the account is enabled, a mark raises them again,
 * to what is due.
 *
 * A bound is computed only under the lock of its row, in a statement after the one that locked it: a statement reads what
 * was committed when the statement began, so a statement that both waits for the lock and computes would miss what was
 * committed while it waited.
 */

/** Locks endpoints for a change, in the order of their ids. Returns `id`, `host_id` and `max_in_flight` of each. */
export async function lockEndpoints(tx: Transaction, endpointKeys: readonly number[]): Promise<readonly Row[]> {
  return tx.all("select id, host_id, max_in_flight from endpoints where id = any($1) order by id for no key update", endpointKeys);
}

/** Lowers the bounds of these locked endpoints and of their hosts to the given times (epoch ms). */
export async function lowerDue(tx: Transaction, earliest: ReadonlyMap<number, number>): Promise<void> {
  if (earliest.size === 0) return;
  const endpointKeys = [...earliest.keys()];
  await Promise.all([
    tx.run(
      `update endpoints p set next_due_at = greatest(u.due_at, p.paused_until) from unnest($1::bigint[], $2::bigint[]) as u(id, due_at)
       where p.id = u.id and (p.next_due_at is null or p.next_due_at > greatest(u.due_at, p.paused_until))`,
      endpointKeys,
      [...earliest.values()],
    ),
    lowerHosts(tx, endpointKeys),
  ]);
}

/** Recomputes the bounds of these locked endpoints from their deliveries and lowers the bounds of their hosts to match. */
export async function refreshDue(tx: Transaction, endpointKeys: readonly number[]): Promise<void> {
  if (endpointKeys.length === 0) return;
  await Promise.all([refreshEndpoints(tx, endpointKeys), lowerHosts(tx, endpointKeys)]);
}

/**
 * Recomputes the bounds of these locked endpoints from their deliveries. Those that a mark holds are left to its end: each of
 * its portions would walk over the index entries that the portions before it left behind.
 */
export async function refreshEndpoints(tx: Transaction, endpointKeys: readonly number[]): Promise<void> {
  await tx.run(
    `update endpoints p set next_due_at = due.at from endpoints o cross join lateral (
       select case when exists (select 1 from deliveries e where e.endpoint_id = o.id and e.status = 'pending' and e.lease_token is null
         and e.early_after < o.recoveries) then o.recovered_at end as at) early
     cross join lateral (
       select case when min(d.due_at) is not null then greatest(least(min(d.due_at), early.at), o.paused_until) end as at from deliveries d
       where d.endpoint_id = o.id and d.status = 'pending' and d.lease_token is null and d.due_at is not null) due
     where o.id = any($1) and o.held = 0 and p.id = o.id and p.next_due_at is distinct from due.at`,
    endpointKeys,
  );
}

/** Locks the hosts and recomputes their bounds from their endpoints. Returns the earlier bound by host id; `null` if the host has none. */
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
    where p.host_id = ${host}.id and p.failing = ${failing} and p.state = 'enabled' and p.held = 0 and p.next_due_at is not null
      and ${isOfEnabled(`${host}.account_id`)} order by p.next_due_at limit 1)`;
}

/** Lowers the bounds of the hosts so that none is later than the bound of one of these endpoints. */
async function lowerHosts(tx: Transaction, endpointKeys: readonly number[]): Promise<void> {
  await Promise.all([
    tx.run(
      `select 1 from hosts where id = any(array(select host_id from endpoints where id = any($1) and next_due_at is not null)) order by id for no key update`,
      endpointKeys,
    ),
    tx.run(
      `update hosts h set next_due_at = least(h.next_due_at, due.healthy), failing_due_at = least(h.failing_due_at, due.failing)
       from (
         select p.host_id, greatest(min(p.next_due_at) filter (where not p.failing), min(o.paused_until) filter (where not p.failing)) as healthy,
           greatest(min(p.next_due_at) filter (where p.failing), min(o.paused_until) filter (where p.failing)) as failing
         from endpoints p join hosts o on o.id = p.host_id
         where p.id = any($1) and ${isStatus("p.state", "enabled")} and p.held = 0 and p.next_due_at is not null group by p.host_id) due
       where h.id = due.host_id and (due.healthy < h.next_due_at or due.failing < h.failing_due_at
         or (h.next_due_at is null and due.healthy is not null) or (h.failing_due_at is null and due.failing is not null))`,
      endpointKeys,
    ),
  ]);
}

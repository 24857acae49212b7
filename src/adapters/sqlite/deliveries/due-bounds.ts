import { integer, integerOrNull } from "../../sql/rows.ts";
import { disabledAccounts } from "../../sql/accounts/account-state.ts";
import type { Database, Row } from "../connection/database.ts";

/*
 * Due deliveries are found top-down (hosts, then endpoints, then deliveries). Each level is indexed by its earliest due
 * time, so ten thousand pending deliveries of a dead endpoint, or a hundred thousand endpoints on a paused host, are one
 * row to a claim. The upper levels hold lower bounds:
 *
 * - endpoints.next_due_at is never later than the endpoint's earliest claimable delivery, or its own pause if that ends
 *   later; null if it has no claimable delivery. What a recovery brings forward is claimable from the recovery on.
 * - hosts.next_due_at is never later than the bound of any enabled endpoint without failures that no mark holds, or the host's own pause if
 *   that ends later; hosts.failing_due_at is the same bound for enabled endpoints with failures.
 *
 * A transaction that makes a delivery claimable earlier also lowers the bounds. A bound that is too low is raised by the
 * claim that finds nothing under it. A bound that is too high would lose a delivery.
 *
 * The claims raise the bounds of the hosts of a disabled account to null. Once the account is enabled, a mark raises them again,
 * to what is due.
 */

/** The earlier bound of a host, as an expression over `hosts`; null if it has none. */
export const hostDueAt = "min(coalesce(next_due_at, failing_due_at), coalesce(failing_due_at, next_due_at))";

/** Lowers the bounds of the endpoint and its host to `dueAtMs`, from which a delivery may be claimed. */
export function lowerDue(db: Database, endpointKey: number, dueAtMs: number): void {
  const row = db.get(
    `update endpoints set next_due_at = max(?1, coalesce(paused_until, 0))
     where id = ?2 and (next_due_at is null or next_due_at > max(?1, coalesce(paused_until, 0)))
     returning host_id, failing, state, held, next_due_at`,
    dueAtMs,
    endpointKey,
  );
  if (row !== undefined) lowerHostDue(db, row);
}

/** Condition that a recovery brings forward a delivery of the endpoint ?1, which has a due time as well. */
const hasEarly = `exists (select 1 from deliveries e
  where e.endpoint_id = ?1 and e.status = 'pending' and e.lease_token is null and e.early_after < endpoints.recoveries)`;

/** Recomputes the endpoint's bound from its deliveries and returns it. Lowers the host's bound to this time if the host's is later. */
export function refreshDue(db: Database, endpointKey: number): number | null {
  const row = db.get(
    `update endpoints set next_due_at = (
       select max(min(due_at, case when ${hasEarly} then endpoints.recovered_at else due_at end), coalesce(endpoints.paused_until, 0)) from (
         select min(due_at) as due_at from deliveries
         where endpoint_id = ?1 and status = 'pending' and lease_token is null and due_at is not null))
     where id = ?1 returning host_id, failing, state, held, next_due_at`,
    endpointKey,
  );
  if (row === undefined) return null;
  lowerHostDue(db, row);
  return integerOrNull(row, "next_due_at");
}

/** Recomputes one bound of the host: that of its failing endpoints, or that of its other endpoints. */
export function raiseHostDue(db: Database, hostKey: number, failing: boolean): void {
  db.run(
    `update hosts set ${boundOf(failing)} = (
       select max(p.next_due_at, coalesce(hosts.paused_until, 0)) from endpoints p
       where p.host_id = ?1 and p.failing = ?2 and p.state = 'enabled' and p.held = 0 and p.next_due_at is not null
         and hosts.account_id not in (${disabledAccounts}) order by p.next_due_at limit 1)
     where id = ?1`,
    hostKey,
    failing,
  );
}

/** Returns the column with the host's bound of its failing endpoints, or of its other endpoints. */
export function boundOf(failing: boolean): "failing_due_at" | "next_due_at" {
  return failing ? "failing_due_at" : "next_due_at";
}

function lowerHostDue(db: Database, endpoint: Row): void {
  const dueAtMs = integerOrNull(endpoint, "next_due_at");
  if (dueAtMs === null || endpoint["state"] !== "enabled" || endpoint["held"] !== 0) return;
  const bound = boundOf(endpoint["failing"] === 1);
  db.run(
    `update hosts set ${bound} = max(?1, coalesce(paused_until, 0))
     where id = ?2 and (${bound} is null or ${bound} > max(?1, coalesce(paused_until, 0)))`,
    dueAtMs,
    integer(endpoint, "host_id"),
  );
}

import type { Database, Row } from "../connection/database.ts";
import { integer, integerOrNull, text } from "../../sql/rows.ts";

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
 */

/** Something of this endpoint may be claimed from `dueAtMs` on. */
export function lowerDue(db: Database, endpointId: string, dueAtMs: number): void {
  const row = db.get(
    `update endpoints set next_due_at = max(?1, coalesce(paused_until, 0))
     where id = ?2 and (next_due_at is null or next_due_at > max(?1, coalesce(paused_until, 0)))
     returning host_id, failing, state, next_due_at`,
    dueAtMs,
    endpointId,
  );
  if (row !== undefined) lowerHostDue(db, row);
}

/** Sets the endpoint's bound to what its deliveries say, and lowers its host's to it: nothing is assumed of what was there. */
export function refreshDue(db: Database, endpointId: string): number | null {
  const row = db.get(
    `update endpoints set next_due_at = (
       select max(min(d.due_at), coalesce(endpoints.paused_until, 0)) from deliveries d
       where d.endpoint_id = ?1 and d.status = 'pending' and d.lease_token is null and d.due_at is not null)
     where id = ?1 returning host_id, failing, state, next_due_at`,
    endpointId,
  );
  if (row === undefined) return null;
  lowerHostDue(db, row);
  return integerOrNull(row, "next_due_at");
}

/** Sets the host's bound for one class of its endpoints to the earliest of them. */
export function raiseHostDue(db: Database, hostId: number, failing: boolean): void {
  db.run(
    `update hosts set ${boundOf(failing)} = (
       select max(p.next_due_at, coalesce(hosts.paused_until, 0)) from endpoints p
       where p.host_id = ?1 and p.failing = ?2 and p.state = 'enabled' and p.next_due_at is not null order by p.next_due_at limit 1)
     where id = ?1`,
    hostId,
    failing,
  );
}

/** The column of the host's bound for endpoints with or without failures. */
export function boundOf(failing: boolean): "failing_due_at" | "next_due_at" {
  return failing ? "failing_due_at" : "next_due_at";
}

/** Gives leases back: a test is made for one moment and ends with it, everything else is due as it was. */
export function freeLeases(db: Database, leases: readonly Row[], nowMs: number): void {
  const endpointIds = new Set<string>();
  for (const row of leases) {
    const untimed = row["status"] === "pending" && row["next_attempt_at"] === null;
    if (untimed)
      db.run("update deliveries set lease_token = null, status = 'canceled', settled_at = ? where id = ?", nowMs, text(row, "id"));
    else db.run("update deliveries set lease_token = null where id = ?", text(row, "id"));
    endpointIds.add(text(row, "endpoint_id"));
  }
  for (const endpointId of endpointIds) refreshDue(db, endpointId);
}

/** At the start of a server: whoever held a lease is gone. */
export function clearLeases(db: Database, nowMs: number): void {
  const leases = db.all("select id, endpoint_id, status, next_attempt_at from deliveries where lease_token is not null");
  freeLeases(db, leases, nowMs);
}

function lowerHostDue(db: Database, endpoint: Row): void {
  const dueAtMs = integerOrNull(endpoint, "next_due_at");
  if (dueAtMs === null || endpoint["state"] !== "enabled") return;
  const bound = boundOf(endpoint["failing"] === 1);
  db.run(
    `update hosts set ${bound} = max(?1, coalesce(paused_until, 0))
     where id = ?2 and (${bound} is null or ${bound} > max(?1, coalesce(paused_until, 0)))`,
    dueAtMs,
    integer(endpoint, "host_id"),
  );
}

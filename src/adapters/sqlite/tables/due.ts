import type { Database } from "../database.ts";
import { integerOrNull } from "./rows.ts";

/*
 * Who is due is found from the top: hosts -> endpoints -> deliveries, each level with an index on the level's earliest
 * due time. The upper levels hold lower bounds: an insert or a retry lowers them, a claim that finds nothing earlier
 * raises them again. So ten thousand owed to a dead endpoint, or a hundred thousand endpoints on a paused host, are one
 * row to whoever looks for work.
 */

/** Something of this endpoint may be claimed from `dueAtMs` on. */
export function lowerDue(db: Database, endpointId: string, dueAtMs: number): void {
  const lowered = db.run(
    "update endpoints set next_due_at = ?1 where id = ?2 and (next_due_at is null or next_due_at > ?1)",
    dueAtMs,
    endpointId,
  );
  const host = "(select host_id from endpoints where id = ?2)";
  if (lowered > 0)
    db.run(`update hosts set next_due_at = ?1 where id = ${host} and (next_due_at is null or next_due_at > ?1)`, dueAtMs, endpointId);
}

/** The endpoint's bound from its deliveries, and with it the host's where it is lower; for an endpoint that may be claimed again. */
export function refreshDue(db: Database, endpointId: string): void {
  const nextDueAtMs = raiseEndpointDue(db, endpointId);
  if (nextDueAtMs === null) return;
  const host = "(select host_id from endpoints where id = ?2)";
  db.run(`update hosts set next_due_at = ?1 where id = ${host} and (next_due_at is null or next_due_at > ?1)`, nextDueAtMs, endpointId);
}

/** Sets the endpoint's bound to its earliest delivery that could be claimed; null when there is none. */
export function raiseEndpointDue(db: Database, endpointId: string): number | null {
  const row = db.get(
    "select min(due_at) as due_at from deliveries where endpoint_id = ? and status = 'pending' and lease_token is null and due_at is not null",
    endpointId,
  );
  const dueAtMs = row === undefined ? null : integerOrNull(row, "due_at");
  db.run("update endpoints set next_due_at = ?1 where id = ?2 and next_due_at is not ?1", dueAtMs, endpointId);
  return dueAtMs;
}

/** Sets the host's bound to the earliest of its enabled endpoints, their own pauses counted. */
export function raiseHostDue(db: Database, hostId: number): void {
  db.run(
    `update hosts set next_due_at = (
       select min(max(next_due_at, coalesce(paused_until, 0))) from endpoints
       where host_id = ?1 and state = 'enabled' and next_due_at is not null)
     where id = ?1`,
    hostId,
  );
}

/** At the start of a server: whoever held a lease is gone, and what it held is due as it was. */
export function clearLeases(db: Database): void {
  const endpoints = db.all("select distinct endpoint_id from deliveries where lease_token is not null");
  db.run("update deliveries set lease_token = null where lease_token is not null");
  for (const row of endpoints) refreshDue(db, row["endpoint_id"] as string);
}

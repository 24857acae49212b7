import { decideLane, supersededBy } from "../../../domain/deliveries/lane.ts";
import type { LaneEntry } from "../../../domain/deliveries/lane.ts";
import type { LatePolicy } from "../../../domain/deliveries/endpoint.ts";
import { integer, integerOrNull, text, textOrNull } from "../../sql/rows.ts";
import type { Database, Row } from "../connection/database.ts";
import { lowerDue, refreshDue } from "./due-bounds.ts";

type PendingEntry = LaneEntry & { readonly dueAtMs: number | null; readonly leased: boolean };

/**
 * Recomputes the due times of a lane. Every transaction that adds a delivery to the lane, settles one or records a first
 * failure in it calls this. Returns false if the lane has no pending delivery left.
 */
export function refreshLane(db: Database, watchId: string, endpointId: string): boolean {
  const entries = readLane(db, watchId, endpointId);
  for (const [index, place] of decideLane(entries, db.policy.orderHoldMs).entries()) {
    const entry = entries[index];
    if (entry === undefined || entry.dueAtMs === place.dueAtMs) continue;
    db.run("update deliveries set due_at = ? where id = ?", place.dueAtMs, place.deliveryId);
    if (place.dueAtMs !== null && !entry.leased) lowerDue(db, endpointId, place.dueAtMs);
  }
  return entries.length > 0;
}

/**
 * Makes these deliveries of one endpoint pending again, each with a new schedule and in the order of its lane. All
 * deliveries that are alone in their lane share the same statements, because an endpoint that was disabled for a month may
 * have a great many of them.
 */
export function requeue(db: Database, endpointId: string, deliveries: readonly Row[], nowMs: number): void {
  db.run(
    `update deliveries set status = 'pending', steps_spent = 0, next_attempt_at = ?1, due_at = ?1, first_attempt_at = null, first_failed_at = null,
       settled_at = null where id in (select value from json_each(?2))`,
    nowMs,
    JSON.stringify(deliveries.map((row) => text(row, "id"))),
  );
  const watchIds = new Set(deliveries.map((row) => textOrNull(row, "watch_id")));
  const shared = db.all(
    `select d.watch_id from json_each(?1) join deliveries d indexed by deliveries_by_watch on d.watch_id = json_each.value and d.endpoint_id = ?2 and d.status = 'pending'
     group by d.watch_id having count(*) > 1`,
    JSON.stringify([...watchIds]),
    endpointId,
  );
  for (const row of shared) refreshLane(db, text(row, "watch_id"), endpointId);
  refreshDue(db, endpointId);
}

/** Settles the deliveries that a delivered event supersedes. An attempt in flight keeps its lease until it is recorded. */
export function supersede(
  db: Database,
  lane: { watchId: string; endpointId: string; late: LatePolicy },
  deliveredSequence: number,
  nowMs: number,
): void {
  for (const deliveryId of supersededBy(readLane(db, lane.watchId, lane.endpointId), deliveredSequence, lane.late))
    db.run(
      "update deliveries set status = 'superseded', settled_at = ?, next_attempt_at = null, due_at = null where id = ?",
      nowMs,
      deliveryId,
    );
}

function readLane(db: Database, watchId: string, endpointId: string): readonly PendingEntry[] {
  return db
    .all(
      `select id, sequence, terminal, next_attempt_at, first_failed_at, due_at, lease_token from deliveries
       where watch_id = ? and endpoint_id = ? and status = 'pending' and sequence is not null order by sequence`,
      watchId,
      endpointId,
    )
    .map((row) => ({
      deliveryId: text(row, "id"),
      sequence: integer(row, "sequence"),
      terminal: row["terminal"] === 1,
      nextAttemptAtMs: integerOrNull(row, "next_attempt_at") ?? 0,
      firstFailedAtMs: integerOrNull(row, "first_failed_at"),
      dueAtMs: integerOrNull(row, "due_at"),
      leased: row["lease_token"] !== null,
    }));
}

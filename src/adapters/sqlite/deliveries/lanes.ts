import { decodeId } from "../../../domain/ids.ts";
import { decideLane, supersededBy } from "../../../domain/deliveries/lane.ts";
import type { LaneEntry } from "../../../domain/deliveries/lane.ts";
import type { DeliveryStatus } from "../../../domain/deliveries/delivery.ts";
import type { LatePolicy } from "../../../domain/deliveries/endpoint.ts";
import { id, integer, integerOrNull, text } from "../../sql/rows.ts";
import type { Database, Row } from "../connection/database.ts";
import { lowerDue, refreshDue } from "./due-bounds.ts";

type PendingEntry = LaneEntry & { readonly deliveryKey: number; readonly dueAtMs: number | null; readonly leased: boolean };

/**
 * Recomputes the due times of a lane. Every transaction that adds a delivery to the lane, settles one or records a first
 * failure in it calls this. Returns false if the lane has no pending delivery left.
 */
export function refreshLane(db: Database, watchKey: number, endpointKey: number): boolean {
  const entries = readLane(db, watchKey, endpointKey);
  for (const [index, place] of decideLane(entries, db.policy.orderHoldMs).entries()) {
    const entry = entries[index];
    if (entry === undefined || entry.dueAtMs === place.dueAtMs) continue;
    db.run("update deliveries set due_at = ? where id = ?", place.dueAtMs, entry.deliveryKey);
    if (place.dueAtMs !== null && !entry.leased) lowerDue(db, endpointKey, place.dueAtMs);
  }
  return entries.length > 0;
}

/**
 * Makes these deliveries (`id`, `watch_id`, `status`) of one endpoint pending again, each with a new schedule and in the
 * order of its lane. All deliveries that are alone in their lane share the same statements, because an endpoint that was
 * disabled for a month may have a great many of them.
 */
export function requeue(db: Database, endpointKey: number, deliveries: readonly Row[], nowMs: number): void {
  db.run(
    `update deliveries set status = 'pending', steps_spent = 0, next_attempt_at = ?1, due_at = ?1, first_attempt_at = null, first_failed_at = null,
       settled_at = null where id in (select value from json_each(?2))`,
    nowMs,
    JSON.stringify(deliveries.map((row) => integer(row, "id"))),
  );
  // None of the settled ones is leased.
  for (const row of deliveries) {
    if (row["status"] === "pending") continue;
    db.counters.countDeliveries(text(row, "status") as DeliveryStatus, "pending");
    db.counters.countUnleased(endpointKey, 1);
  }
  const watchKeys = new Set(deliveries.map((row) => integerOrNull(row, "watch_id")));
  const shared = db.all(
    `select d.watch_id from json_each(?1) join deliveries d indexed by deliveries_in_lane on d.watch_id = json_each.value and d.endpoint_id = ?2 and d.status = 'pending'
     group by d.watch_id having count(*) > 1`,
    JSON.stringify([...watchKeys].filter((watchKey) => watchKey !== null)),
    endpointKey,
  );
  for (const row of shared) refreshLane(db, integer(row, "watch_id"), endpointKey);
  refreshDue(db, endpointKey);
}

/** Settles the deliveries that a delivered event supersedes. An attempt in flight keeps its lease until it is recorded. */
export function supersede(
  db: Database,
  lane: { readonly watchKey: number; readonly endpointKey: number; readonly late: LatePolicy },
  deliveredSequence: number,
  nowMs: number,
): void {
  const entries = readLane(db, lane.watchKey, lane.endpointKey);
  for (const deliveryId of supersededBy(entries, deliveredSequence, lane.late)) {
    db.run(
      "update deliveries set status = 'superseded', settled_at = ?, next_attempt_at = null, due_at = null where id = ?",
      nowMs,
      decodeId(deliveryId),
    );
    db.counters.countDeliveries("pending", "superseded");
    if (!entries.some((entry) => entry.deliveryId === deliveryId && entry.leased)) db.counters.countUnleased(lane.endpointKey, -1);
  }
}

function readLane(db: Database, watchKey: number, endpointKey: number): readonly PendingEntry[] {
  return db
    .all(
      `select id, sequence, terminal, next_attempt_at, first_failed_at, due_at, lease_token from deliveries
       where watch_id = ? and endpoint_id = ? and status = 'pending' and sequence is not null order by sequence`,
      watchKey,
      endpointKey,
    )
    .map((row) => ({
      deliveryId: id(row, "dlv", "id"),
      deliveryKey: integer(row, "id"),
      sequence: integer(row, "sequence"),
      terminal: row["terminal"] === 1,
      nextAttemptAtMs: integerOrNull(row, "next_attempt_at") ?? 0,
      firstFailedAtMs: integerOrNull(row, "first_failed_at"),
      dueAtMs: integerOrNull(row, "due_at"),
      leased: row["lease_token"] !== null,
    }));
}

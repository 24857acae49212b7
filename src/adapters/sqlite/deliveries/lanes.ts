import { decodeId } from "../../../domain/ids.ts";
import { decideLane, supersededBy } from "../../../domain/deliveries/lane.ts";
import type { LaneEntry } from "../../../domain/deliveries/lane.ts";
import type { DeliveryStatus } from "../../../domain/deliveries/delivery.ts";
import type { LatePolicy } from "../../../domain/deliveries/endpoint.ts";
import { id, integer, integerOrNull, text } from "../../sql/rows.ts";
import type { Database } from "../connection/database.ts";
import type { Row } from "../../sql/rows.ts";
import { lowerDue, refreshDue } from "./due-bounds.ts";

type PendingEntry = LaneEntry & {
  readonly deliveryKey: number;
  readonly dueAtMs: number | null;
  readonly earlyAfter: number | null;
  readonly leased: boolean;
};

/**
 * Recomputes the due times of a lane. Every transaction that adds a delivery to the lane, settles one or records a first
 * failure in it calls this. Returns false if the lane has no pending delivery left.
 */
export function refreshLane(db: Database, watchKey: number, endpointKey: number): boolean {
  const entries = readLane(db, watchKey, endpointKey);
  for (const [index, place] of decideLane(entries, db.policy.orderHoldMs).entries()) {
    const entry = entries[index];
    if (entry === undefined || (entry.dueAtMs === place.dueAtMs && entry.earlyAfter === place.earlyAfter)) continue;
    db.run("update deliveries set due_at = ?, early_after = ? where id = ?", place.dueAtMs, place.earlyAfter, entry.deliveryKey);
    if (place.dueAtMs === null || entry.leased) continue;
    if (place.earlyAfter === null) lowerDue(db, endpointKey, place.dueAtMs);
    else refreshDue(db, endpointKey);
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
       scheduled_at = null, last_recovery = null, early_after = null, settled_at = null where id in (select value from json_each(?2))`,
    nowMs,
    JSON.stringify(deliveries.map((row) => integer(row, "id"))),
  );
  // None of the settled ones is leased.
  for (const row of deliveries) {
    if (row["status"] === "pending") continue;
    db.counters.countDeliveries(text(row, "status") as DeliveryStatus, "pending");
    db.counters.countUnleased(endpointKey, 1);
  }
  refreshSharedLanes(db, endpointKey, deliveries);
  refreshDue(db, endpointKey);
}

/** Makes these pending deliveries (`id`, `watch_id`) of one endpoint due at `nowMs`, in the order of their lanes. */
export function hurry(db: Database, endpointKey: number, deliveries: readonly Row[], nowMs: number): void {
  db.run(
    "update deliveries set next_attempt_at = ?1, due_at = ?1 where id in (select value from json_each(?2))",
    nowMs,
    JSON.stringify(deliveries.map((row) => integer(row, "id"))),
  );
  refreshSharedLanes(db, endpointKey, deliveries);
  refreshDue(db, endpointKey);
}

/** Recomputes the lanes that have a pending delivery left, after some were canceled. */
export function refreshLanesOf(db: Database, endpointKey: number, watchKeys: readonly (number | null)[]): void {
  const left = db.all(
    `select distinct d.watch_id from json_each(?1) join deliveries d indexed by deliveries_in_lane on d.watch_id = json_each.value and d.endpoint_id = ?2 and d.status = 'pending'`,
    JSON.stringify([...new Set(watchKeys)].filter((watchKey) => watchKey !== null)),
    endpointKey,
  );
  for (const row of left) refreshLane(db, integer(row, "watch_id"), endpointKey);
}

/** Recomputes the lanes that hold more than one pending delivery. Each of the others is due by itself. */
function refreshSharedLanes(db: Database, endpointKey: number, deliveries: readonly Row[]): void {
  const watchKeys = new Set(deliveries.map((row) => integerOrNull(row, "watch_id")));
  const shared = db.all(
    `select d.watch_id from json_each(?1) join deliveries d indexed by deliveries_in_lane on d.watch_id = json_each.value and d.endpoint_id = ?2 and d.status = 'pending'
     group by d.watch_id having count(*) > 1`,
    JSON.stringify([...watchKeys].filter((watchKey) => watchKey !== null)),
    endpointKey,
  );
  for (const row of shared) refreshLane(db, integer(row, "watch_id"), endpointKey);
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
      `select id, sequence, terminal, next_attempt_at, first_failed_at, last_recovery, due_at, early_after, lease_token from deliveries
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
      lastRecovery: integerOrNull(row, "last_recovery"),
      dueAtMs: integerOrNull(row, "due_at"),
      earlyAfter: integerOrNull(row, "early_after"),
      leased: row["lease_token"] !== null,
    }));
}

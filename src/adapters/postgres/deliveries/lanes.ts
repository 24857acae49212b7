import { decideLane } from "../../../domain/deliveries/lane.ts";
import type { LaneEntry } from "../../../domain/deliveries/lane.ts";
import type { Row } from "../../sql/rows.ts";
import { flag, integer, integerOrNull, text } from "../../sql/rows.ts";
import type { Transaction } from "../connection/transaction.ts";
import { isStatus } from "../reading/page.ts";
import { lockEndpoints, lowerDue, refreshDue } from "./due-bounds.ts";

/*
 * A lane is changed only under the lock of its watch. Otherwise a transition that appends a delivery and an attempt that
 * settles one could miss each other's change, and the next delivery would wait forever.
 */

export type LaneDelivery = LaneEntry & {
  readonly watchId: string;
  readonly endpointId: string;
  readonly dueAtMs: number | null;
  readonly leased: boolean;
};

export const laneKey = (watchId: string, endpointId: string) => `${watchId} ${endpointId}`;

/** Reads the pending deliveries in the lanes of these locked watches, by `laneKey`, in order of sequence. */
export async function readLanes(tx: Transaction, watchIds: readonly string[]): Promise<Map<string, LaneDelivery[]>> {
  if (watchIds.length === 0) return new Map();
  const rows = await tx.all(
    `select id, watch_id, endpoint_id, sequence, terminal, next_attempt_at, first_failed_at, due_at, lease_token from deliveries
     where watch_id = any($1) and ${isStatus("status", "pending")} and sequence is not null order by watch_id, endpoint_id, sequence`,
    watchIds,
  );
  return Map.groupBy(rows.map(laneDeliveryOf), ({ watchId, endpointId }) => laneKey(watchId, endpointId));
}

function laneDeliveryOf(row: Row): LaneDelivery {
  return {
    deliveryId: text(row, "id"),
    watchId: text(row, "watch_id"),
    endpointId: text(row, "endpoint_id"),
    sequence: integer(row, "sequence"),
    terminal: flag(row, "terminal"),
    nextAttemptAtMs: integerOrNull(row, "next_attempt_at") ?? 0,
    firstFailedAtMs: integerOrNull(row, "first_failed_at"),
    dueAtMs: integerOrNull(row, "due_at"),
    leased: row["lease_token"] !== null,
  };
}

/** Returns the time at which each entry of a lane may be claimed; `null` while it waits for an earlier one. */
export function dueTimes(entries: readonly LaneEntry[], orderHoldMs: number): readonly (number | null)[] {
  return decideLane(entries, orderHoldMs).map(({ dueAtMs }) => dueAtMs);
}

/** Recomputes the due times in these lanes; their watches and endpoints are locked. */
export async function replaceLanes(tx: Transaction, watchIds: readonly string[], endpointIds: readonly string[]): Promise<void> {
  const wanted = new Set(endpointIds);
  const lanes = await readLanes(tx, watchIds);
  const changed: { readonly id: string; readonly dueAtMs: number | null }[] = [];
  const earliest = new Map<string, number>();
  for (const lane of lanes.values()) {
    if (!wanted.has(lane[0]?.endpointId ?? "")) continue;
    for (const [index, dueAtMs] of dueTimes(lane, tx.policy.orderHoldMs).entries()) {
      const entry = lane[index];
      if (entry === undefined || entry.dueAtMs === dueAtMs) continue;
      changed.push({ id: entry.deliveryId, dueAtMs });
      if (dueAtMs !== null && !entry.leased) earliest.set(entry.endpointId, Math.min(earliest.get(entry.endpointId) ?? Infinity, dueAtMs));
    }
  }
  if (changed.length === 0) return;
  await Promise.all([
    tx.run(
      "update deliveries d set due_at = u.due_at from unnest($1::text[], $2::bigint[]) as u(id, due_at) where d.id = u.id",
      changed.map(({ id }) => id),
      changed.map(({ dueAtMs }) => dueAtMs),
    ),
    lowerDue(tx, earliest),
  ]);
}

/**
 * Requeues deliveries of one endpoint, each with a fresh schedule and in the order of its lane. The caller has locked their
 * watches; the endpoint is locked here.
 */
export async function requeue(tx: Transaction, endpointId: string, deliveries: readonly Row[], nowMs: number): Promise<void> {
  await lockEndpoints(tx, [endpointId]);
  const watchIds = [...new Set(deliveries.map((row) => row["watch_id"]).filter((id): id is string => typeof id === "string"))];
  await tx.run(
    `update deliveries set status = 'pending', steps_spent = 0, next_attempt_at = $1, due_at = $1, first_attempt_at = null, first_failed_at = null,
       settled_at = null where id = any($2)`,
    nowMs,
    deliveries.map((row) => text(row, "id")),
  );
  await replaceLanes(tx, watchIds, [endpointId]);
  await refreshDue(tx, [endpointId]);
  tx.changed.add("deliveries");
}

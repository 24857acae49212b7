import { decodeId, encodeId, unknownKey } from "../../../domain/ids.ts";
import { decideLane } from "../../../domain/deliveries/lane.ts";
import type { LaneEntry, LanePlace } from "../../../domain/deliveries/lane.ts";
import type { Row } from "../../sql/rows.ts";
import { flag, integer, integerOrNull } from "../../sql/rows.ts";
import type { Transaction } from "../connection/transaction.ts";
import { unindexedKey } from "../reading/page.ts";
import { lockEndpoints, lowerDue, refreshDue } from "./due-bounds.ts";

/*
 * A lane is changed only under the lock of its watch. Otherwise a transition that appends a delivery and an attempt that
 * settles one could miss each other's change, and the next delivery would wait forever.
 */

export type LaneDelivery = LaneEntry & {
  readonly watchKey: number;
  readonly endpointKey: number;
  readonly dueAtMs: number | null;
  readonly earlyAfter: number | null;
  readonly leased: boolean;
};

type Places = Pick<LanePlace, "dueAtMs" | "earlyAfter">;

export const laneKey = (watchKey: number, endpointKey: number) => `${watchKey} ${endpointKey}`;

/** Reads the pending deliveries in the lanes of these locked watches, by `laneKey`, in order of sequence. */
export async function readLanes(tx: Transaction, watchKeys: readonly number[]): Promise<Map<string, LaneDelivery[]>> {
  if (watchKeys.length === 0) return new Map();
  const rows = await tx.all(
    `select id, watch_id, endpoint_id, sequence, terminal, next_attempt_at, first_failed_at, last_recovery, due_at, early_after, lease_token from deliveries
     where watch_id = any($1) and status = 'pending' and sequence is not null order by ${unindexedKey("watch_id")}, endpoint_id, sequence`,
    watchKeys,
  );
  return Map.groupBy(rows.map(laneDeliveryOf), ({ watchKey, endpointKey }) => laneKey(watchKey, endpointKey));
}

function laneDeliveryOf(row: Row): LaneDelivery {
  return {
    deliveryId: encodeId("dlv", integer(row, "id")),
    watchKey: integer(row, "watch_id"),
    endpointKey: integer(row, "endpoint_id"),
    sequence: integer(row, "sequence"),
    terminal: flag(row, "terminal"),
    nextAttemptAtMs: integerOrNull(row, "next_attempt_at") ?? 0,
    firstFailedAtMs: integerOrNull(row, "first_failed_at"),
    lastRecovery: integerOrNull(row, "last_recovery"),
    dueAtMs: integerOrNull(row, "due_at"),
    earlyAfter: integerOrNull(row, "early_after"),
    leased: row["lease_token"] !== null,
  };
}

/** Returns the time at which each entry of a lane may be claimed; `null` while it waits for an earlier one. */
export function dueTimes(entries: readonly LaneEntry[], orderHoldMs: number): readonly (number | null)[] {
  return decideLane(entries, orderHoldMs).map(({ dueAtMs }) => dueAtMs);
}

/** Recomputes the due times in these lanes; their watches and endpoints are locked. */
export async function replaceLanes(tx: Transaction, watchKeys: readonly number[], endpointKeys: readonly number[]): Promise<void> {
  const wanted = new Set(endpointKeys);
  const lanes = await readLanes(tx, watchKeys);
  const changed: (Places & { readonly key: number })[] = [];
  const earliest = new Map<number, number>();
  const withEarly = new Set<number>();
  for (const lane of lanes.values()) {
    if (!wanted.has(lane[0]?.endpointKey ?? unknownKey)) continue;
    for (const [index, { dueAtMs, earlyAfter }] of decideLane(lane, tx.policy.orderHoldMs).entries()) {
      const entry = lane[index];
      if (entry === undefined || (entry.dueAtMs === dueAtMs && entry.earlyAfter === earlyAfter)) continue;
      changed.push({ key: decodeId(entry.deliveryId), dueAtMs, earlyAfter });
      if (dueAtMs === null || entry.leased) continue;
      if (earlyAfter !== null) withEarly.add(entry.endpointKey);
      else earliest.set(entry.endpointKey, Math.min(earliest.get(entry.endpointKey) ?? Infinity, dueAtMs));
    }
  }
  if (changed.length === 0) return;
  await Promise.all([
    tx.run(
      `update deliveries d set due_at = u.due_at, early_after = u.early_after
       from unnest($1::bigint[], $2::bigint[], $3::integer[]) as u(id, due_at, early_after) where d.id = u.id`,
      changed.map(({ key }) => key),
      changed.map(({ dueAtMs }) => dueAtMs),
      changed.map(({ earlyAfter }) => earlyAfter),
    ),
    lowerDue(tx, earliest),
    refreshDue(tx, [...withEarly]),
  ]);
}

/**
 * Requeues deliveries of one endpoint, each with a fresh schedule and in the order of its lane. The caller has locked their
 * watches; the endpoint is locked here.
 */
export async function requeue(tx: Transaction, endpointKey: number, deliveries: readonly Row[], nowMs: number): Promise<void> {
  await lockEndpoints(tx, [endpointKey]);
  await tx.run(
    `update deliveries set status = 'pending', steps_spent = 0, next_attempt_at = $1, due_at = $1, first_attempt_at = null, first_failed_at = null,
       scheduled_at = null, last_recovery = null, early_after = null, settled_at = null where id = any($2)`,
    nowMs,
    deliveries.map((row) => integer(row, "id")),
  );
  await refreshChanged(tx, endpointKey, deliveries);
}

/** Makes these pending deliveries of one endpoint due at `nowMs`, in the order of their lanes; their watches and the endpoint are locked. */
export async function hurry(tx: Transaction, endpointKey: number, deliveries: readonly Row[], nowMs: number): Promise<void> {
  await tx.run(
    "update deliveries set next_attempt_at = $1, due_at = $1 where id = any($2)",
    nowMs,
    deliveries.map((row) => integer(row, "id")),
  );
  await refreshChanged(tx, endpointKey, deliveries);
}

async function refreshChanged(tx: Transaction, endpointKey: number, deliveries: readonly Row[]): Promise<void> {
  const watchKeys = [...new Set(deliveries.map((row) => integerOrNull(row, "watch_id")).filter((key) => key !== null))];
  await replaceLanes(tx, watchKeys, [endpointKey]);
  await refreshDue(tx, [endpointKey]);
  tx.changed.add("deliveries");
}

import type { DeliveryState } from "./delivery.ts";
import type { LatePolicy } from "./endpoint.ts";

/**
 * Pending delivery of a lane. A lane is the queue of pending deliveries of one watch to one endpoint, in the order of their
 * sequence.
 */
export type LaneEntry = {
  readonly deliveryId: string;
  readonly sequence: number;
  readonly terminal: boolean;
  readonly nextAttemptAtMs: number;
  readonly firstFailedAtMs: number | null;
};

export type LanePlace = {
  readonly deliveryId: string;
  /** Earliest time of the next attempt; `null` while an earlier delivery is neither settled nor failing. */
  readonly dueAtMs: number | null;
  /**
   * Sequence of the earliest pending delivery before this one in the lane; `null` if there is none. The earlier delivery
   * blocks this one at most until its hold has passed.
   */
  readonly blockedBySequence: number | null;
};

/**
 * Decides when each delivery of a lane may be attempted. A delivery waits for every earlier one, until that one is settled
 * (then it is no entry any more) or has been failing for `orderHoldMs` since its first failed attempt. Deferrals are not
 * failures.
 */
export function decideLane(entries: readonly LaneEntry[], orderHoldMs: number): readonly LanePlace[] {
  let openAtMs: number | null = 0;
  let blockedBySequence: number | null = null;
  return entries.map((entry) => {
    const dueAtMs = openAtMs === null ? null : Math.max(openAtMs, entry.nextAttemptAtMs);
    const place = { deliveryId: entry.deliveryId, dueAtMs, blockedBySequence };
    if (entry.firstFailedAtMs === null) openAtMs = null;
    else if (openAtMs !== null) openAtMs = Math.max(openAtMs, entry.firstFailedAtMs + orderHoldMs);
    blockedBySequence ??= entry.sequence;
    return place;
  });
}

/** Returns the pending deliveries that a delivered event supersedes if late events are dropped: the earlier ones, except terminal ones. */
export function supersededBy(entries: readonly LaneEntry[], deliveredSequence: number, late: LatePolicy): readonly string[] {
  if (late === "send") return [];
  return entries.filter((entry) => entry.sequence < deliveredSequence && !entry.terminal).map((entry) => entry.deliveryId);
}

/**
 * Returns when a delivery is due after an attempt; `null` if it is settled. In a lane, the due time depends on the other
 * deliveries, so that `dueAtMs` stays until the lane is decided.
 */
export function dueAfterAttempt(
  { status, nextAttemptAtMs }: Pick<DeliveryState, "status" | "nextAttemptAtMs">,
  { isInLane, dueAtMs }: { readonly isInLane: boolean; readonly dueAtMs: number | null },
): number | null {
  if (status !== "pending") return null;
  return isInLane ? dueAtMs : nextAttemptAtMs;
}

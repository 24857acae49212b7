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
  readonly lastRecovery: number | null;
};

export type LanePlace = {
  readonly deliveryId: string;
  /** Earliest time of the next attempt; `null` while an earlier delivery is neither settled nor failing. */
  readonly dueAtMs: number | null;
  /** A recovery of the endpoint after this time brings the delivery forward; `null` if none does (see bring-forward.ts). */
  readonly earlyAfter: number | null;
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
 *
 * Of the deliveries that wait for their schedule, a recovery brings forward the earliest; a later one follows when that is
 * settled or has failed again. Neither shortens a hold: a later delivery that was attempted after the hold had passed has
 * nothing to wait for.
 */
export function decideLane(entries: readonly LaneEntry[], orderHoldMs: number): readonly LanePlace[] {
  let openAtMs: number | null = 0;
  let blockedBySequence: number | null = null;
  let isEarlierWaiting = false;
  return entries.map((entry) => {
    const dueAtMs = openAtMs === null ? null : Math.max(openAtMs, entry.nextAttemptAtMs);
    const { firstFailedAtMs, lastRecovery } = entry;
    const mayBeEarly = !isEarlierWaiting && openAtMs !== null && firstFailedAtMs !== null && firstFailedAtMs >= openAtMs;
    const place = { deliveryId: entry.deliveryId, dueAtMs, earlyAfter: mayBeEarly ? lastRecovery : null, blockedBySequence };
    isEarlierWaiting ||= lastRecovery !== null;
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
 * Returns when a delivery is due after an attempt, and what brings it forward; `null` if it is settled. In a lane, both depend
 * on the other deliveries, so that `current` stays until the lane is decided.
 */
export function placeAfterAttempt(
  { status, nextAttemptAtMs, lastRecovery }: Pick<DeliveryState, "status" | "nextAttemptAtMs" | "lastRecovery">,
  { isInLane, current }: { readonly isInLane: boolean; readonly current: Pick<LanePlace, "dueAtMs" | "earlyAfter"> },
): Pick<LanePlace, "dueAtMs" | "earlyAfter"> {
  if (status !== "pending") return { dueAtMs: null, earlyAfter: null };
  return isInLane ? current : { dueAtMs: nextAttemptAtMs, earlyAfter: lastRecovery };
}

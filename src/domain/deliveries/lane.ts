import type { DeliveryState } from "./delivery.ts";
import type { LatePolicy } from "./endpoint.ts";

/**
 * A lane is what one watch owes one endpoint: events that leave in their sequence. Its entries are the pending
 * deliveries, in order of their sequence.
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
  /** When it may be attempted; null while an earlier one has neither been settled nor failed. */
  readonly dueAtMs: number | null;
  /** The earliest one before it that is still owed, if any; it need not be what holds it up any more. */
  readonly blockedBySequence: number | null;
};

/**
 * Who may go when. A later event waits for every earlier one until that is settled (and so no longer an entry) or has
 * been failing for the hold, counted from its first failed attempt; deferrals are no failures.
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

/** What a delivered event makes pointless where late events are dropped: the earlier ones still pending, never a terminal one. */
export function supersededBy(entries: readonly LaneEntry[], deliveredSequence: number, late: LatePolicy): readonly string[] {
  if (late === "send") return [];
  return entries.filter((entry) => entry.sequence < deliveredSequence && !entry.terminal).map((entry) => entry.deliveryId);
}

/**
 * Returns when a delivery is due after an attempt; `null` if it is settled. The due time of a delivery in a lane depends on
 * the others, so it stays (`dueAtMs`) until the lane is decided.
 */
export function dueAfterAttempt(
  { status, nextAttemptAtMs }: Pick<DeliveryState, "status" | "nextAttemptAtMs">,
  { isInLane, dueAtMs }: { readonly isInLane: boolean; readonly dueAtMs: number | null },
): number | null {
  if (status !== "pending") return null;
  return isInLane ? dueAtMs : nextAttemptAtMs;
}

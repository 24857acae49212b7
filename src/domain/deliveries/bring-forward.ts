import type { AttemptMode } from "./attempt.ts";
import type { DeliveryState } from "./delivery.ts";
import type { EndpointHealth } from "./endpoint.ts";

/*
 * Back from an outage: the first 2xx after failures, a recovery of the endpoint, brings forward what failed before it. The
 * endpoint's row counts its recoveries, and each delivery keeps the number that there were when it failed. So a recovery
 * changes one row, however many deliveries wait, and nothing is lost if the process ends.
 *
 * A delivery is brought forward at most once a step of its schedule: the attempt that was brought forward removes its
 * `lastRecovery`, and only a spent step sets it again. Otherwise an endpoint that takes most deliveries and fails a few would
 * be sent these few at the rate of its traffic.
 */

type Waiting = Pick<DeliveryState, "nextAttemptAtMs" | "scheduledAtMs" | "stepsSpent">;
type Recoveries = Pick<EndpointHealth, "recoveries" | "recoveredAtMs">;

/** Returns the endpoint's recoveries after a 2xx. */
export function recoveriesAfterSuccess({ consecutiveFailures, recoveries, recoveredAtMs }: EndpointHealth, nowMs: number): Recoveries {
  return consecutiveFailures === 0 ? { recoveries, recoveredAtMs } : { recoveries: recoveries + 1, recoveredAtMs: nowMs };
}

/**
 * Returns the regular time of an attempt that was made before it; `null` if the attempt is a regular one. An attempt that was
 * brought forward and deferred is repeated after the pause, and remains one that was brought forward until its regular time.
 */
export function broughtForwardFrom(
  { nextAttemptAtMs, scheduledAtMs, stepsSpent }: Waiting,
  attempt: { readonly mode: AttemptMode; readonly startedAtMs: number },
): number | null {
  const regularAtMs = scheduledAtMs ?? (attempt.mode === "early" ? nextAttemptAtMs : null);
  return regularAtMs !== null && stepsSpent > 0 && attempt.startedAtMs < regularAtMs ? regularAtMs : null;
}

/** Whether a recovery of the endpoint brings a delivery forward. */
export function isBroughtForward(earlyAfter: number | null, recoveries: number): boolean {
  return earlyAfter !== null && earlyAfter < recoveries;
}

/** Returns a time of a pending delivery as clients see it: that of the recovery if this is earlier and brings it forward. */
export function broughtForwardTo(
  timeMs: number | null,
  earlyAfter: number | null,
  { recoveries, recoveredAtMs }: Recoveries,
): number | null {
  if (timeMs === null || recoveredAtMs === null || !isBroughtForward(earlyAfter, recoveries)) return timeMs;
  return Math.min(timeMs, recoveredAtMs);
}

/** A delivery that a claim may take. */
export type Claimable = { readonly key: number; readonly dueAtMs: number };

/** Deliveries of one endpoint that a claim may take: those that are due, by due time, and those brought forward, oldest first. */
export type ClaimableDeliveries = {
  readonly due: readonly Claimable[];
  readonly early: readonly Claimable[];
  readonly recoveredAtMs: number | null;
};

/**
 * Returns what a claim takes, at most `limit`: in the order of due times, as if the recovery had made due at its time what it
 * brings forward and was not due before. What is brought forward stays in its order, so no delivery overtakes an earlier one
 * of its lane. The mode is `early` for a delivery whose own time has not come.
 */
export function claimOrder(
  { due, early, recoveredAtMs }: ClaimableDeliveries,
  nowMs: number,
  limit: number,
): readonly { readonly key: number; readonly mode: AttemptMode }[] {
  const places = new Map<number, number>();
  let placeMs = recoveredAtMs ?? Infinity;
  for (const { key, dueAtMs } of early.toReversed()) places.set(key, (placeMs = Math.min(placeMs, dueAtMs)));
  const placeOf = ({ key, dueAtMs }: Claimable) => places.get(key) ?? dueAtMs;
  return [...early, ...due.filter(({ key }) => !places.has(key))]
    .toSorted((a, b) => placeOf(a) - placeOf(b) || a.key - b.key)
    .slice(0, limit)
    .map(({ key, dueAtMs }) => ({ key, mode: dueAtMs <= nowMs ? "scheduled" : "early" }));
}

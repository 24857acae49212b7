/**
 * Rules of a store's transactions: retries, order and pauses of deliveries, as the operator configures them. Times are in
 * milliseconds.
 */
export type DeliveryPolicy = {
  /** Delay of each attempt after the one before. A delivery has as many attempts as this has entries. */
  readonly scheduleMs: readonly number[];
  /** Jitter. It only lengthens a delay: 0.2 adds 0 to 20 %. */
  readonly jitterRatio: number;
  /** Time for which a failing event of a lane holds up the later ones. */
  readonly orderHoldMs: number;
  /** Shortest span of failures in a row that disables an endpoint. */
  readonly disableAfterMs: number;
  /** Smallest number of failures in a row that disables an endpoint. */
  readonly disableMinAttempts: number;
  /** Shortest span of failures in a row, and smallest number of them, after which `endpoint.failing` is published. */
  readonly failingAfterMs: number;
  readonly failingMinAttempts: number;
  /** First pause without `Retry-After`. It doubles while pauses continue. */
  readonly pauseMinMs: number;
  /** Longest pause without `Retry-After`. */
  readonly pauseMaxMs: number;
  /** Hosts with a configured rate (`HOST_RATE_LIMITS`): a 429 of one of their URLs pauses all of them. */
  readonly rateLimitedHosts: readonly string[];
  /** Sizes of work on many rows; those of the store if left out. */
  readonly marks?: MarkSizes;
};

/** Sizes of work on many rows. */
export type MarkSizes = {
  /** Number of rows that one transaction changes without a mark. */
  readonly threshold: number;
  /** Number of rows that one portion of a mark changes. */
  readonly portion: number;
};

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const maxSteps = 100;
const maxDelayMs = 30 * 86_400_000;

export type ParsedSchedule =
  | { readonly kind: "schedule"; readonly scheduleMs: readonly number[] }
  | { readonly kind: "invalid"; readonly detail: string };

/** Parses `0s,5s,5m,…`: 1 to 100 delays of at most 30 days with the units ms, s, m, h, d, separated by commas. */
export function parseSchedule(text: string): ParsedSchedule {
  const steps = text.split(",").map((entry) => {
    const match = /^(\d{1,9})(ms|s|m|h|d)$/.exec(entry.trim());
    return match === null ? Number.NaN : Number(match[1]) * (unitMs[match[2] ?? ""] ?? Number.NaN);
  });
  if (steps.length > maxSteps || !steps.every((delayMs) => delayMs <= maxDelayMs))
    return { kind: "invalid", detail: `must be 1 to ${maxSteps} delays of at most 30d with the units ms, s, m, h, d, as in 0s,5s,5m,2h` };
  return { kind: "schedule", scheduleMs: steps };
}

/** Returns the delay before the attempt that spends step `step` (from 0); `null` if the schedule is used up. `jitter` is from 0 to 1. */
export function delayBeforeStep(policy: DeliveryPolicy, step: number, jitter: number): number | null {
  const delayMs = policy.scheduleMs[step];
  return delayMs === undefined ? null : Math.round(delayMs * (1 + policy.jitterRatio * jitter));
}

/** Returns the length of the schedule after its first attempt, without jitter. A deferral after this time exhausts the delivery. */
export function scheduleSpanMs(policy: DeliveryPolicy): number {
  return policy.scheduleMs.slice(1).reduce((sum, delayMs) => sum + delayMs, 0);
}

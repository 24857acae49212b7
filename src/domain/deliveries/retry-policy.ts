/** How deliveries are retried, ordered and given up. All of it configurable by the operator. */
export type DeliveryPolicy = {
  /** Delay before each attempt, counted from the one before; as many attempts as entries. */
  readonly scheduleMs: readonly number[];
  /** Only ever added: 0.2 makes a delay 0 to 20 % longer. */
  readonly jitterRatio: number;
  /** How long an earlier event of a lane may fail before a later one overtakes it. */
  readonly orderHoldMs: number;
  /** An endpoint is disabled when its failures in a row span this long ... */
  readonly disableAfterMs: number;
  /** ... and are at least so many. */
  readonly disableMinAttempts: number;
  /** A pause nobody gave a length for: this long, doubling while pauses continue ... */
  readonly pauseMinMs: number;
  /** ... up to this. */
  readonly pauseMaxMs: number;
  /** Hosts with a configured rate (`HOST_RATE_LIMITS`): a 429 of one of their URLs pauses all of them. */
  readonly rateLimitedHosts: readonly string[];
};

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const maxSteps = 100;
const maxDelayMs = 30 * 86_400_000;

export type ParsedSchedule =
  | { readonly kind: "schedule"; readonly scheduleMs: readonly number[] }
  | { readonly kind: "invalid"; readonly detail: string };

/** Reads `0s,5s,5m,…`: delays with the units ms, s, m, h, d, comma-separated, 1 to 100 of them, at most 30 days each. */
export function parseSchedule(text: string): ParsedSchedule {
  const steps = text.split(",").map((entry) => {
    const match = /^(\d{1,9})(ms|s|m|h|d)$/.exec(entry.trim());
    return match === null ? Number.NaN : Number(match[1]) * (unitMs[match[2] ?? ""] ?? Number.NaN);
  });
  if (steps.length > maxSteps || !steps.every((delayMs) => delayMs <= maxDelayMs))
    return { kind: "invalid", detail: `must be 1 to ${maxSteps} delays of at most 30d with the units ms, s, m, h, d, as in 0s,5s,5m,2h` };
  return { kind: "schedule", scheduleMs: steps };
}

/** The delay before the attempt that spends step `step` (0 is the first), with jitter from 0 to 1; null when the schedule is used up. */
export function delayBeforeStep(policy: DeliveryPolicy, step: number, jitter: number): number | null {
  const delayMs = policy.scheduleMs[step];
  return delayMs === undefined ? null : Math.round(delayMs * (1 + policy.jitterRatio * jitter));
}

/** The schedule's length after its first attempt, without jitter: a deferral later than this exhausts a delivery. */
export function scheduleSpanMs(policy: DeliveryPolicy): number {
  return policy.scheduleMs.slice(1).reduce((sum, delayMs) => sum + delayMs, 0);
}

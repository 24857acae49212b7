import type { AttemptDecision } from "./deliveries/attempt.ts";
import type { RingbackEvent } from "./events/event.ts";

/** Upper bounds of the durations of a bucket, in ms; a last bucket has no bound. Close together around the interval of polls. */
export const durationBoundsMs: readonly number[] = [
  10, 25, 50, 100, 250, 500, 1000, 1500, 2000, 3000, 4000, 5000, 7500, 10_000, 15_000, 30_000, 60_000, 300_000, 1_800_000, 7_200_000,
  86_400_000,
];

/**
 * Kinds of counts of an account, each one number: failed attempts, and transitions without a known delay. Delivered webhooks add
 * the bucket of the time since they were written. Delayed transitions add the bucket of the time between the two polls around
 * them.
 */
export const activityKinds = { failed: 0, transition: 1, delivered: 100, delayed: 200 } as const;

/** A count of one kind in one span of time, which begins at `atMs`. */
export type ActivityCount = { readonly atMs: number; readonly kind: number; readonly n: number };

/**
 * Returns the bucket of a duration: the number of bounds that it reaches. A duration below 0 comes from a clock that was set
 * back.
 */
export function bucketOf(durationMs: number): number {
  const bucket = durationBoundsMs.findIndex((boundMs) => durationMs < boundMs);
  return bucket === -1 ? durationBoundsMs.length : bucket;
}

/**
 * Returns the kind of an attempt that ended. Every outcome but `delivered` is a failure, deferrals included. `null` for a repeat
 * of a delivery that had arrived, because the time of a repeat is no latency.
 */
export function kindOfAttempt(decision: AttemptDecision, sinceWrittenMs: number, hadArrived = false): number | null {
  if (decision !== "delivered") return activityKinds.failed;
  return hadArrived ? null : activityKinds.delivered + bucketOf(sinceWrittenMs);
}

/** Returns the kind of an event; `null` if it is no transition of a call. */
export function kindOfEvent({ type, data }: RingbackEvent): number | null {
  if (!type.startsWith("call.") || !("watchId" in data)) return null;
  if (data.observedAtMs === null || data.observedAfterMs === null) return activityKinds.transition;
  return activityKinds.delayed + bucketOf(data.observedAtMs - data.observedAfterMs);
}

/** Numbers of one span. `latency` and `delay` have a number for each bucket of durations. */
export type ActivitySpan = {
  readonly atMs: number;
  readonly transitions: number;
  readonly delivered: number;
  readonly failed: number;
  readonly latency: readonly number[];
  readonly delay: readonly number[];
};

/** Returns the spans from `sinceMs` to `untilMs`, one for each `stepMs`, also those in which nothing happened. */
export function spansOf(
  counts: readonly ActivityCount[],
  { sinceMs, untilMs, stepMs }: { readonly sinceMs: number; readonly untilMs: number; readonly stepMs: number },
): readonly ActivitySpan[] {
  const byStart = Map.groupBy(counts, ({ atMs }) => atMs - (atMs % stepMs));
  const first = sinceMs - (sinceMs % stepMs);
  const length = Math.max(0, Math.floor((untilMs - first) / stepMs) + 1);
  return Array.from({ length }, (_, index) => spanOf(first + index * stepMs, byStart.get(first + index * stepMs) ?? []));
}

/** Returns the sum of spans; it begins with the first of them. */
export function sumOf(spans: readonly ActivitySpan[]): Omit<ActivitySpan, "atMs"> {
  const sum = (of: (span: ActivitySpan) => number) => spans.reduce((total, span) => total + of(span), 0);
  const buckets = (of: (span: ActivitySpan) => readonly number[]) => noDurations().map((_, bucket) => sum((span) => of(span)[bucket] ?? 0));
  return {
    transitions: sum((span) => span.transitions),
    delivered: sum((span) => span.delivered),
    failed: sum((span) => span.failed),
    latency: buckets((span) => span.latency),
    delay: buckets((span) => span.delay),
  };
}

/** Returns the duration that a part of all durations does not exceed, linear within its bucket; `null` if there is none. */
export function quantileMs(durations: readonly number[], part: number): number | null {
  const total = durations.reduce((sum, n) => sum + n, 0);
  if (total === 0) return null;
  const rank = part * total;
  let before = 0;
  for (const [bucket, n] of durations.entries()) {
    if (n > 0 && before + n >= rank) {
      const fromMs = durationBoundsMs[bucket - 1] ?? 0;
      const toMs = durationBoundsMs[bucket] ?? fromMs;
      return fromMs + ((toMs - fromMs) * (rank - before)) / n;
    }
    before += n;
  }
  return durationBoundsMs.at(-1) ?? null;
}

function spanOf(atMs: number, counts: readonly ActivityCount[]): ActivitySpan {
  const [latency, delay] = [noDurations(), noDurations()];
  let [transitions, delivered, failed] = [0, 0, 0];
  for (const { kind, n } of counts) {
    if (kind === activityKinds.failed) failed += n;
    else if (kind === activityKinds.transition) transitions += n;
    else if (kind >= activityKinds.delayed) {
      transitions += n;
      add(delay, kind - activityKinds.delayed, n);
    } else {
      delivered += n;
      add(latency, kind - activityKinds.delivered, n);
    }
  }
  return { atMs, transitions, delivered, failed, latency, delay };
}

function noDurations(): number[] {
  return Array.from({ length: durationBoundsMs.length + 1 }, () => 0);
}

function add(durations: number[], bucket: number, n: number): void {
  durations[bucket] = (durations[bucket] ?? 0) + n;
}

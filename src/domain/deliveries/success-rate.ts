import type { AttemptDecision } from "./attempt.ts";

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

/** Attempts of one endpoint in one span of time, which begins at `atMs`. A test is none of them. */
export type AttemptCount = {
  readonly atMs: number;
  readonly spanMs: number;
  readonly succeeded: number;
  readonly failed: number;
};

/** Span of a count that was just added, and its beginning. */
export const countSpanMs = minuteMs;
export const countStart = (atMs: number): number => spanStart(atMs, minuteMs);

/** Returns the count of one attempt, by minute. Everything but a delivery is a failure, deferrals too. */
export function countOf(decision: AttemptDecision, endedAtMs: number): AttemptCount {
  const succeeded = decision === "delivered" ? 1 : 0;
  return { atMs: spanStart(endedAtMs, minuteMs), spanMs: minuteMs, succeeded, failed: 1 - succeeded };
}

/** Returns the beginning of the span that a time is in. */
function spanStart(atMs: number, spanMs: number): number {
  return Math.floor(atMs / spanMs) * spanMs;
}

/** Counts of one span that are older than `beforeMs` are summed up in spans of `intoMs`; `null`: they are deleted. */
export type CountFold = { readonly spanMs: number; readonly beforeMs: number; readonly intoMs: number | null };

/** Returns how old counts are kept: by minute for 2 h, by hour for 8 days, by day for the retention. */
export function countFolds({ nowMs, beforeMs }: { readonly nowMs: number; readonly beforeMs: number }): readonly CountFold[] {
  return [
    { spanMs: minuteMs, beforeMs: spanStart(nowMs - 2 * hourMs, minuteMs), intoMs: hourMs },
    { spanMs: hourMs, beforeMs: spanStart(nowMs - 8 * dayMs, hourMs), intoMs: dayMs },
    { spanMs: dayMs, beforeMs: spanStart(Math.min(beforeMs, nowMs - 9 * dayMs), dayMs), intoMs: null },
  ];
}

/** Beginning of the counts that belong to the rates of an endpoint: spans that begin in the last hour, and in the last 24 hours. */
export function ratesSince(nowMs: number): { readonly hourMs: number; readonly dayMs: number } {
  return { hourMs: nowMs - hourMs, dayMs: nowMs - dayMs };
}

/** Attempts of the last hour and of the last 24 hours. */
export type RecentAttempts = { readonly hour: Sum; readonly day: Sum };
type Sum = Pick<AttemptCount, "succeeded" | "failed">;

const precision = 10_000;

/** Returns the part of attempts that delivered, from 0 to 1; `null` if there was no attempt. */
export function successRate({ succeeded, failed }: Sum): number | null {
  const attempts = succeeded + failed;
  return attempts === 0 ? null : Math.round((succeeded / attempts) * precision) / precision;
}

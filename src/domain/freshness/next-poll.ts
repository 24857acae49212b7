import { bucketCount, bucketEndMs, bucketOf } from "./age-buckets.ts";
import type { Hazard } from "./hazard.ts";

/** Longest time between two polls of a call, in its even intervals, so that a hazard learned as 0 starves no call. */
const maxEvenIntervals = 5;
/**
 * The same where the even interval is at least half of the mean time between changes. Calls that are polled only a few times
 * gain nothing from longer intervals, and the slowest of them would be observed much later.
 */
const maxEvenIntervalsOfFewPolls = 2;

/** Bounds and price of the polls of one call, in milliseconds. */
export type PollBudget = {
  /** Interval of the even schedule: what every call of the account gets if all are polled alike. */
  readonly evenMs: number;
  /** Shortest interval of the source. */
  readonly minMs: number;
  /** Interval of a call of the mean hazard: the account's even interval over its multiplier. */
  readonly quotaMs: number;
};

/**
 * Returns the time from a poll to the next one of the same call, in milliseconds. `ageMs` is the time in its status;
 * `hazard` is `null` while the status is not learned, and the even schedule stays. `jitter` is about 1.
 *
 * Rule (Cho & Garcia-Molina, Effective page refresh policies, TODS 2003; Azar, Horvitz, Lubetzky, Peres & Shahaf, Tractable
 * near-optimal policies for crawling, PNAS 2018): poll at a rate proportional to the square root of the hazard h(age).
 *
 * 1. With density f and survival S, polls at rate r(a) detect a change at age a after 1 / 2r(a) on average.
 * 2. Minimise the delay ∫ f/2r at the cost ∫ S r, at the price λ for a poll: L = ∫ (f/2r + λ S r).
 * 3. dL/dr = 0 gives r² = f / 2λS = h/2λ, so r = √(h/2λ), and λ follows from the polls that may be spent.
 * 4. A poll d = 1/r after the last is due when h d²/2 = λ: when the delay that has added up since the last is the price.
 * 5. With H the hazard added up since the last poll, ∫ (e^H - 1) = λ says the same for any d and a hazard that changes within
 *    d, and is exact for a constant hazard (Barlow, Hunter & Proschan, Optimum checking procedures, SIAM 1963).
 *
 * An age without changes before a sharp peak adds up to nothing, so that the polls gather at the peak.
 */
export function nextPollDelay(ageMs: number, hazard: Hazard | null, { evenMs, minMs, quotaMs }: PollBudget, jitter: number): number {
  if (hazard === null) return evenMs * jitter;
  const { perMs, meanPerMs } = hazard;
  const evenChanges = Math.min(1, 2 * evenMs * meanPerMs);
  const maxMs = Math.max(minMs, evenMs * (maxEvenIntervals - (maxEvenIntervals - maxEvenIntervalsOfFewPolls) * evenChanges));
  let leftMs = ((quotaMs * jitter) ** 2 * meanPerMs) / 2;
  /** e^H, of which the terms up to the second suffice within a bucket. */
  let growth = 1;
  let bucket = bucketOf(ageMs);
  let atMs = ageMs;
  for (; bucket < bucketCount - 1 && atMs - ageMs < maxMs; bucket++) {
    const widthMs = bucketEndMs(bucket) - atMs;
    const added = (perMs[bucket] as number) * widthMs;
    const delayedMs = (growth - 1 + (growth * added) / 2) * widthMs;
    if (delayedMs >= leftMs) break;
    leftMs -= delayedMs;
    growth *= 1 + added + (added * added) / 2;
    atMs += widthMs;
  }
  // The positive root of growth h x² / 2 + (growth - 1) x = left, in the form that does not cancel.
  const linear = growth - 1;
  const restMs = (2 * leftMs) / (linear + Math.sqrt(linear * linear + 2 * growth * (perMs[bucket] as number) * leftMs));
  return Math.min(Math.max(atMs + restMs - ageMs, minMs), maxMs);
}

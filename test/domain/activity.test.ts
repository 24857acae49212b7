import { expect, test } from "vitest";
import fc from "fast-check";
import { activityKinds, bucketOf, durationBoundsMs, kindOfAttempt, quantileMs, spansOf, sumOf } from "../../src/domain/activity.ts";

const minute = 60_000;

test("a duration is in the bucket whose bounds hold it", () => {
  fc.assert(
    fc.property(fc.integer({ min: -1000, max: 100_000_000 }), (durationMs) => {
      const bucket = bucketOf(durationMs);
      expect(durationMs).toBeLessThan(durationBoundsMs[bucket] ?? Infinity);
      if (bucket > 0) expect(durationMs).toBeGreaterThanOrEqual(durationBoundsMs[bucket - 1] ?? 0);
    }),
  );
  expect(durationBoundsMs).toEqual(durationBoundsMs.toSorted((a, b) => a - b));
  // The kinds of one counter do not reach those of the next.
  expect(activityKinds.delivered + durationBoundsMs.length).toBeLessThan(activityKinds.delayed);
});

test("a quantile is within the bucket that holds it, and grows with its part", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 86_000_000 }), { minLength: 1, maxLength: 50 }), (durations) => {
      const counts = durationBoundsMs.map(() => 0);
      for (const durationMs of durations) counts[bucketOf(durationMs)] = (counts[bucketOf(durationMs)] ?? 0) + 1;
      const [median = 0, high = 0] = [0.5, 0.95].map((part) => quantileMs(counts, part) ?? -1);
      const sorted = durations.toSorted((a, b) => a - b);
      const exact = sorted[Math.ceil(sorted.length / 2) - 1] ?? 0;
      expect(Math.abs(bucketOf(median) - bucketOf(exact))).toBeLessThanOrEqual(1);
      expect(high).toBeGreaterThanOrEqual(median);
    }),
  );
  expect(quantileMs([], 0.5)).toBeNull();
  expect(quantileMs([0, 0], 0.5)).toBeNull();
});

test("spans cover the whole range, also where nothing happened, and add up", () => {
  const at = 1_764_000_000_000 - (1_764_000_000_000 % minute);
  const counts = [
    { atMs: at, kind: activityKinds.failed, n: 2 },
    { atMs: at, kind: activityKinds.transition, n: 1 },
    { atMs: at + 2 * minute, kind: kindOfAttempt("delivered", 120) ?? 0, n: 3 },
    { atMs: at + 2 * minute, kind: activityKinds.delayed + bucketOf(2000), n: 4 },
  ];
  const spans = spansOf(counts, { sinceMs: at, untilMs: at + 3 * minute, stepMs: minute });
  expect(spans.map(({ transitions, delivered, failed }) => [transitions, delivered, failed])).toEqual([
    [1, 0, 2],
    [0, 0, 0],
    [4, 3, 0],
    [0, 0, 0],
  ]);
  const sum = sumOf(spans);
  expect([sum.transitions, sum.delivered, sum.failed]).toEqual([5, 3, 2]);
  expect(quantileMs(sum.latency, 0.5)).toBeGreaterThanOrEqual(100);
  expect(quantileMs(sum.delay, 0.5)).toBeLessThanOrEqual(3000);
});

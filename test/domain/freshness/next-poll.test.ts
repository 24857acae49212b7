import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bucketCount, bucketOf, bucketStartsMs } from "../../../src/domain/freshness/age-buckets.ts";
import type { Hazard } from "../../../src/domain/freshness/hazard.ts";
import { nextPollDelay } from "../../../src/domain/freshness/next-poll.ts";

const meanPerMs = 1 / 150_000;
const budget = { evenMs: 10_000, minMs: 2000, quotaMs: 10_000 };

/** A hazard by bucket, in means of the source. */
function hazardOf(inMeans: (bucket: number) => number): Hazard {
  return { meanPerMs, perMs: Float64Array.from({ length: bucketCount }, (_, bucket) => inMeans(bucket) * meanPerMs) };
}

const hazards = fc
  .array(fc.double({ min: 0, max: 100, noNaN: true }), { minLength: bucketCount, maxLength: bucketCount })
  .map((inMeans) => hazardOf((bucket) => inMeans[bucket] ?? 0));
const ages = fc.integer({ min: 0, max: 20_000_000 });
const budgets = fc.record({
  evenMs: fc.integer({ min: 2000, max: 1_800_000 }),
  minMs: fc.integer({ min: 10, max: 2000 }),
  quotaMs: fc.integer({ min: 100, max: 10_000_000 }),
});
const jitters = fc.double({ min: 0.9, max: 1.1, noNaN: true });

describe("the next poll of a call", () => {
  test("comes after the even interval while its status is not learned", () => {
    expect(nextPollDelay(28_000, null, budget, 1)).toBe(10_000);
    expect(nextPollDelay(28_000, null, budget, 1.1)).toBe(11_000);
  });

  test("is never sooner than the shortest interval, nor later than five even ones", () => {
    fc.assert(
      fc.property(ages, hazards, budgets, jitters, (ageMs, hazard, given, jitter) => {
        const delayMs = nextPollDelay(ageMs, hazard, given, jitter);
        expect(delayMs).toBeGreaterThanOrEqual(given.minMs);
        expect(delayMs).toBeLessThanOrEqual(5 * given.evenMs);
      }),
      { numRuns: 500 },
    );
  });

  test("is not later where the hazard is higher, or where more polls may be spent", () => {
    const factors = fc.array(fc.double({ min: 1, max: 10, noNaN: true }), { minLength: bucketCount, maxLength: bucketCount });
    fc.assert(
      fc.property(ages, hazards, factors, budgets, (ageMs, hazard, factor, given) => {
        const higher = { ...hazard, perMs: hazard.perMs.map((perMs, bucket) => perMs * (factor[bucket] ?? 1)) };
        const delayMs = nextPollDelay(ageMs, hazard, given, 1);
        expect(nextPollDelay(ageMs, higher, given, 1)).toBeLessThanOrEqual(delayMs * 1.000_001);
        expect(nextPollDelay(ageMs, hazard, { ...given, quotaMs: given.quotaMs / 2 }, 1)).toBeLessThanOrEqual(delayMs * 1.000_001);
      }),
      { numRuns: 500 },
    );
  });

  test.each([
    [1, 10_000],
    [4, 5000],
    [0.25, 20_000],
  ])("of a hazard of %d means comes after the inverse of its square root", (inMeans, expectedMs) => {
    const delayMs = nextPollDelay(
      600_000,
      hazardOf(() => inMeans),
      budget,
      1,
    );
    // The rule for long intervals shortens them by a few percent.
    expect(delayMs).toBeLessThanOrEqual(expectedMs);
    expect(delayMs).toBeGreaterThan(expectedMs * 0.95);
  });

  test("waits for a peak of the hazard, and then follows at the shortest interval", () => {
    const peak = bucketOf(28_000);
    const hazard = hazardOf((bucket) => (bucket === peak ? 60 : 0.001));
    const first = nextPollDelay(5000, hazard, budget, 1);
    expect(bucketOf(5000 + first)).toBe(peak);
    expect(nextPollDelay(5000 + first, hazard, { ...budget, minMs: 500 }, 1)).toBeLessThan(2500);
    // Behind the peak only the bound remains, which is below five intervals because the mean time is 15 of them.
    expect(nextPollDelay(40_000, hazard, budget, 1)).toBeCloseTo(46_000);
  });

  test("the buckets hold every age in order", () => {
    fc.assert(
      fc.property(ages, (ageMs) => {
        const bucket = bucketOf(ageMs);
        expect(bucketStartsMs[bucket]).toBeLessThanOrEqual(ageMs * 1.000_001);
        expect(bucketStartsMs[bucket + 1] ?? Infinity).toBeGreaterThan(ageMs * 0.999_999);
      }),
    );
  });
});

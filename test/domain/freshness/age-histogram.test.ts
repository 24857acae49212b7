import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bucketOf } from "../../../src/domain/freshness/age-buckets.ts";
import { AgeHistogram } from "../../../src/domain/freshness/age-histogram.ts";
import { hazardOf, meanHazardPerMs } from "../../../src/domain/freshness/hazard.ts";
import type { Hazard } from "../../../src/domain/freshness/hazard.ts";
import { Random } from "../../simulation/random.ts";

const spans = fc.tuple(fc.integer({ min: 0, max: 10_000_000 }), fc.integer({ min: 1, max: 1_000_000 }));
const sum = (values: Float64Array) => values.reduce((total, value) => total + value, 0);

function hazardOfAll(histogram: AgeHistogram): Hazard | null {
  const meanPerMs = meanHazardPerMs([histogram]);
  return meanPerMs === null ? null : hazardOf(histogram, meanPerMs);
}

describe("the histogram of times in a status", () => {
  test("counts all the time in which calls were seen unchanged", () => {
    fc.assert(
      fc.property(spans, ([fromMs, lengthMs]) => {
        const histogram = new AgeHistogram();
        histogram.recordUnchanged(fromMs, fromMs + lengthMs);
        expect(sum(histogram.exposedMs)).toBeCloseTo(lengthMs, 3);
        expect([histogram.changes, sum(histogram.changed)]).toEqual([0, 0]);
      }),
    );
  });

  test("counts a change once, between the two polls around it, and the time before it", () => {
    const learned = new AgeHistogram();
    for (let ageMs = 1000; ageMs < 100_000; ageMs += 1000) learned.recordChange(ageMs - 1000, ageMs, null);
    fc.assert(
      fc.property(spans, fc.boolean(), ([fromMs, lengthMs], isLearned) => {
        const histogram = new AgeHistogram();
        const delayMs = histogram.recordChange(fromMs, fromMs + lengthMs, isLearned ? hazardOfAll(learned) : null);
        expect(histogram.changes).toBe(1);
        expect(sum(histogram.changed)).toBeCloseTo(1, 6);
        expect(delayMs).toBeGreaterThanOrEqual(0);
        expect(delayMs).toBeLessThanOrEqual(lengthMs);
        expect(sum(histogram.exposedMs)).toBeLessThanOrEqual(lengthMs * 1.000_001);
        if (!isLearned) expect(delayMs).toBeCloseTo(lengthMs / 2, 3);
      }),
    );
  });

  test("finds the ages of changes behind polls that are ten seconds apart", () => {
    const random = new Random("histogram");
    const histogram = new AgeHistogram();
    let hazard: Hazard | null = null;
    for (let call = 0; call < 2000; call++) {
      // 40 % end at 27 to 29 s, the others at 100 to 400 s.
      const endMs = random.chance(0.4) ? 27_000 + 2000 * random.fraction() : 100_000 + 300_000 * random.fraction();
      let seenMs = 0;
      for (let ageMs = 10_000 * random.fraction(); ; ageMs += 10_000) {
        if (ageMs > endMs) {
          histogram.recordChange(seenMs, ageMs, hazard);
          break;
        }
        histogram.recordUnchanged(seenMs, ageMs);
        seenMs = ageMs;
      }
      if (call % 100 === 99) hazard = hazardOfAll(histogram);
    }
    const at = (seconds: number) => (hazard?.perMs[bucketOf(seconds * 1000)] ?? 0) * 1000;
    expect(at(28)).toBeGreaterThan(0.06);
    expect(at(22)).toBeLessThan(0.01);
    expect(at(38)).toBeLessThan(0.01);
    expect(at(60)).toBeLessThan(0.001);
    expect(at(200)).toBeGreaterThan(0.003);
  });

  test("forgets, so that a shift is learned", () => {
    const histogram = new AgeHistogram();
    for (let change = 0; change < 10_000; change++) histogram.recordChange(99_000, 101_000, null);
    expect(sum(histogram.changed)).toBeLessThan(1600);
    for (let change = 0; change < 3000; change++) histogram.recordChange(19_000, 21_000, null);
    expect(sum(histogram.changed.subarray(0, bucketOf(50_000)))).toBeGreaterThan(0.8 * sum(histogram.changed));
  });

  test("of two instances add up to what one would have observed, and are stored in 768 bytes", () => {
    const [one, other, both] = [new AgeHistogram(), new AgeHistogram(), new AgeHistogram()];
    for (const histogram of [one, both]) {
      histogram.recordUnchanged(0, 60_000);
      histogram.recordChange(60_000, 70_000, null);
    }
    for (const histogram of [other, both]) histogram.recordChange(20_000, 30_000, null);
    const kept = AgeHistogram.fromStored(one.toStored());
    kept.append(AgeHistogram.fromStored(other.toStored()));
    expect(one.toStored().ages).toHaveLength(768);
    expect(kept.changes).toBe(2);
    // What came later makes the earlier fade by a change.
    for (const [bucket, changed] of both.changed.entries()) expect(kept.changed[bucket]).toBeCloseTo(changed, 2);
    expect(sum(kept.exposedMs) / sum(both.exposedMs)).toBeCloseTo(1, 2);
  });

  test("of another version, or damaged, is learned again", () => {
    const { ages } = new AgeHistogram().toStored();
    for (const bytes of [ages.subarray(1), new Uint8Array(0), ages.map(() => 255)])
      expect(AgeHistogram.fromStored({ changes: 500, ages: bytes })).toMatchObject({ changes: 0, isEmpty: true });
  });
});

describe("the hazard", () => {
  test("of ages without any observation is that of the source, and no hazard is 0", () => {
    const histogram = new AgeHistogram();
    for (let change = 0; change < 400; change++) {
      histogram.recordUnchanged(0, 90_000);
      histogram.recordChange(90_000, 100_000, null);
    }
    const hazard = hazardOfAll(histogram);
    if (hazard === null) throw new Error("there are changes");
    expect(Math.min(...hazard.perMs)).toBeGreaterThan(0);
    expect((hazard.perMs.at(-1) ?? 0) / hazard.meanPerMs).toBeCloseTo(1, 1);
    expect((hazard.perMs[bucketOf(10_000)] ?? 0) / hazard.meanPerMs).toBeLessThan(0.05);
  });
});

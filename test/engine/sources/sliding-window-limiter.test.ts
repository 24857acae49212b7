import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SlidingWindowLimiter } from "../../../src/engine/sources/sliding-window-limiter.ts";

const rate = fc.oneof(fc.integer({ min: 1, max: 50 }), fc.double({ min: 0.05, max: 20, noNaN: true }));

function grantedAt(source: SlidingWindowLimiter, moments: readonly number[]): number[] {
  return moments.filter((nowMs) => {
    if (source.waitMs(nowMs) > 0) return false;
    source.record(nowMs);
    return true;
  });
}

function mostInOneSecond(times: readonly number[]): number {
  return Math.max(0, ...times.map((startMs) => times.filter((atMs) => atMs >= startMs && atMs < startMs + 1000).length));
}

describe("a source's rate", () => {
  test("no second sees more than the rate, whenever polls are asked for", () => {
    fc.assert(
      fc.property(rate, fc.array(fc.nat(300), { maxLength: 400 }), (perSecond, gapsMs) => {
        let nowMs = 0;
        const granted = grantedAt(
          new SlidingWindowLimiter(perSecond),
          gapsMs.map((gapMs) => (nowMs += gapMs)),
        );
        expect(mostInOneSecond(granted)).toBeLessThanOrEqual(Math.ceil(perSecond));
      }),
    );
  });

  test("constant requests get at least 99 % of the rate", () => {
    fc.assert(
      fc.property(rate, (perSecond) => {
        const seconds = 200;
        const granted = grantedAt(
          new SlidingWindowLimiter(perSecond),
          Array.from({ length: seconds * 100 }, (_, index) => index * 10),
        );
        expect(granted.length).toBeLessThanOrEqual(perSecond * seconds + Math.ceil(perSecond));
        expect(granted.length).toBeGreaterThanOrEqual(Math.floor(perSecond * seconds * 0.95));
      }),
      { numRuns: 30 },
    );
  });

  test("a second's worth may go at once", () => {
    expect(
      grantedAt(
        new SlidingWindowLimiter(200),
        Array.from({ length: 500 }, () => 5),
      ),
    ).toHaveLength(200);
  });

  test("a rate below one is one poll in that many seconds", () => {
    const source = new SlidingWindowLimiter(0.1);
    expect(grantedAt(source, [0, 5000, 9999])).toEqual([0]);
    expect(source.waitMs(0)).toBeCloseTo(10_100);
  });

  test("a lower rate counts what went before it", () => {
    const source = new SlidingWindowLimiter(10);
    expect(
      grantedAt(
        source,
        Array.from({ length: 6 }, () => 0),
      ),
    ).toHaveLength(6);
    source.set(5);
    expect(source.waitMs(0)).toBeCloseTo(1010);
    source.set(10);
    expect(source.waitMs(0)).toBe(0);
  });

  test("changed again and again, up and down, no second sees more than the highest rate that held in it", () => {
    const step = fc.record({ perSecond: rate, gapsMs: fc.array(fc.nat(300), { minLength: 1, maxLength: 60 }) });
    fc.assert(
      fc.property(fc.array(step, { minLength: 2, maxLength: 8 }), (steps) => {
        const source = new SlidingWindowLimiter(steps[0]?.perSecond ?? 1);
        let nowMs = 0;
        const held: { readonly fromMs: number; readonly perSecond: number }[] = [];
        const times: number[] = [];
        for (const { perSecond, gapsMs } of steps) {
          source.set(perSecond);
          held.push({ fromMs: nowMs, perSecond });
          const moments = gapsMs.map((gapMs) => (nowMs += gapMs));
          times.push(...grantedAt(source, moments));
        }
        for (const startMs of times) {
          const inSecond = times.filter((atMs) => atMs >= startMs && atMs < startMs + 1000);
          const rates = held.filter(
            ({ fromMs }, index) => fromMs < startMs + 1000 && (held[index + 1]?.fromMs ?? Number.POSITIVE_INFINITY) >= startMs,
          );
          expect(inSecond.length).toBeLessThanOrEqual(Math.ceil(Math.max(...rates.map(({ perSecond }) => perSecond))));
        }
      }),
    );
  });

  test("a higher rate is used in full, and what went before counts", () => {
    const source = new SlidingWindowLimiter(2);
    expect(grantedAt(source, Array.from({ length: 5 }).fill(0) as number[])).toHaveLength(2);
    source.set(100);
    expect(grantedAt(source, Array.from({ length: 200 }).fill(0) as number[])).toHaveLength(98);
    source.set(3);
    expect(source.waitMs(0)).toBeCloseTo(1010);
  });
});

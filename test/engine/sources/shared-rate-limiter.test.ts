import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SharedRateLimiter } from "../../../src/engine/sources/shared-rate-limiter.ts";

const shared = { isShared: true };
const alone = { isShared: false };

/** Times of as many polls as the limiter allows while calls are due. `waits` receives each wait. */
function poll(limiter: SharedRateLimiter, fromMs: number, untilMs: number, waits: number[] = []): number[] {
  const times: number[] = [];
  for (let nowMs = fromMs; nowMs < untilMs;) {
    const waitMs = limiter.waitMs(nowMs, shared);
    waits.push(waitMs);
    nowMs += waitMs;
    limiter.record(nowMs);
    times.push(nowMs);
  }
  return times;
}

describe("a rate that accounts share", () => {
  test("no second sees more than the rate, and no wait is longer than that between two spread polls", () => {
    const span = fc.record({ idleMs: fc.nat(1500), busyMs: fc.nat(3000) });
    const rate = fc.oneof(fc.integer({ min: 2, max: 60 }), fc.double({ min: 2, max: 60, noNaN: true }));
    fc.assert(
      fc.property(rate, fc.array(span, { maxLength: 6 }), (perSecond, spans) => {
        const limiter = new SharedRateLimiter(perSecond);
        const [times, waits]: [number[], number[]] = [[], []];
        let nowMs = 0;
        for (const { idleMs, busyMs } of spans) {
          times.push(...poll(limiter, (nowMs += idleMs), nowMs + busyMs, waits));
          nowMs = Math.max(nowMs + busyMs, times.at(-1) ?? 0);
        }
        const inSecondFrom = (startMs: number) => times.filter((atMs) => atMs >= startMs && atMs < startMs + 1000).length;
        expect(Math.max(0, ...times.map(inSecondFrom))).toBeLessThanOrEqual(Math.ceil(perSecond));
        const burst = Math.ceil(perSecond);
        const spreadMs = (1010 * burst) / perSecond / (burst - Math.floor(burst / 2));
        expect(Math.max(0, ...waits)).toBeLessThanOrEqual(spreadMs + 0.001);
      }),
    );
  });

  test.each([2, 5, 50, 200, 333.3])("constant requests get at least 95 %% of %d a second", (perSecond) => {
    expect(poll(new SharedRateLimiter(perSecond), 0, 60_000).length).toBeGreaterThan(60 * perSecond * 0.95);
  });

  test("half of a second's worth may go at once, and all of it if one account has the rate", () => {
    const goAtOnce = (limiter: SharedRateLimiter, given: typeof shared) => {
      let polls = 0;
      while (limiter.waitMs(5, given) === 0) {
        limiter.record(5);
        polls += 1;
      }
      return polls;
    };
    expect(goAtOnce(new SharedRateLimiter(200), shared)).toBe(101);
    expect(goAtOnce(new SharedRateLimiter(200), alone)).toBe(200);
  });

  test("a rate of one poll, or less, is not divided", () => {
    const limiter = new SharedRateLimiter(0.1);
    limiter.record(0);
    expect(limiter.waitMs(0, shared)).toBeCloseTo(10_100);
    limiter.set(0);
    expect(limiter.waitMs(0, shared)).toBe(Infinity);
  });
});

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { callsToClaim, callsToRelease, mayTakeLeft, pollableCalls } from "../../../src/domain/calls/call-balance.ts";

/** 15 of 16 polls a second are divided. */
const limits = { maxPollsPerSecond: 64, intervalMinMs: 2000 };
const usablePerSecond = 60;

/** Instances that each have their part of the rate. */
function established(...calls: readonly number[]) {
  return calls.map((each) => ({ calls: each, ratePerSecond: usablePerSecond }));
}

const withPart = (calls: number) => ({ calls, ratePerSecond: usablePerSecond });

describe("giving back", () => {
  test.each<[name: string, own: number, others: number[], expected: number]>([
    ["alone, one keeps everything", 100, [], 0],
    ["an instance that has none: half goes", 100, [0], 50],
    ["only what is beyond the fair share", 100, [40, 100], 20],
    ["everybody has the same", 50, [50, 50], 0],
    ["a small difference stays", 105, [95, 100], 0],
    ["three on one instance are shared", 3, [0, 0], 2],
    ["one call stays where it is", 1, [0, 0], 0],
    ["who has less gives nothing", 10, [100], 0],
  ])("%s", (_, own, others, expected) => {
    expect(callsToRelease(withPart(own), established(...others), limits)).toBe(expected);
  });

  test("no more than the others can poll", () => {
    // Of 600 calls at 60 polls a second: 4 polls a second are 40 calls, 30 are half of them.
    expect(callsToRelease(withPart(600), [{ calls: 0, ratePerSecond: 4 }], limits)).toBe(40);
    expect(callsToRelease(withPart(560), [{ calls: 40, ratePerSecond: 4 }], limits)).toBe(0);
    expect(callsToRelease(withPart(560), [{ calls: 40, ratePerSecond: 30 }], limits)).toBe(260);
    // 20 calls are polled at the shortest interval by 10 polls a second.
    expect(callsToRelease(withPart(40), [{ calls: 0, ratePerSecond: 10 }], limits)).toBe(20);
    expect(callsToRelease(withPart(600), [{ calls: 0, ratePerSecond: 0 }], limits)).toBe(0);
  });
});

describe("claiming", () => {
  test.each<[name: string, own: number, others: number[], free: number, expected: number]>([
    ["alone, one takes everything", 0, [], 100, 100],
    ["two that start together take half each", 0, [0], 101, 51],
    ["the fair share of what a dead one had", 100, [100], 100, 50],
    ["an instance above its share takes nothing", 100, [10], 20, 0],
    ["nothing is free", 0, [100], 0, 0],
  ])("%s", (_, own, others, free, expected) => {
    const claim = (unowned: { released: number; left: number }) => callsToClaim(withPart(own), established(...others), unowned, limits);
    expect(claim({ released: free, left: 0 })).toEqual({ released: expected, left: 0 });
    expect(claim({ released: 0, left: free })).toEqual({ released: 0, left: expected });
  });

  test("a newcomer takes no more than its part of the rate can poll, and twice as much of what a dead one left", () => {
    const newcomer = { calls: 0, ratePerSecond: 4 };
    const others = established(200, 200);
    expect(callsToClaim(newcomer, others, { released: 200, left: 0 }, limits)).toEqual({ released: 40, left: 0 });
    expect(callsToClaim(newcomer, others, { released: 0, left: 200 }, limits)).toEqual({ released: 0, left: 80 });
    expect(mayTakeLeft({ ...newcomer, calls: 79 }, others, { released: 0, left: 121 }, limits)).toBe(true);
    expect(mayTakeLeft({ ...newcomer, calls: 80 }, others, { released: 0, left: 120 }, limits)).toBe(false);
    expect(mayTakeLeft(withPart(250), others, { released: 0, left: 50 }, limits)).toBe(true);
  });

  test("the two that are left of three take all that the third had, at the rates of three", () => {
    const third = { calls: 35, ratePerSecond: 20 };
    expect(callsToClaim(third, [third], { released: 0, left: 35 }, { ...limits, intervalMinMs: 1 }).left).toBe(18);
  });
});

test("an instance with its part of the rate can poll every call, one with none polls none", () => {
  expect(pollableCalls({ ratePerSecond: 20 }, 1e6, 3, limits)).toBe(Infinity);
  expect(pollableCalls({ ratePerSecond: 0 }, 100, 3, limits)).toBe(0);
});

test("rounds of releases and claims lose no call, converge, and leave every instance near its share", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(3000), { minLength: 1, maxLength: 8 }), fc.nat(3000), fc.boolean(), (start, startFree, isLeft) => {
      const owned = [...start];
      let free = startFree;
      const total = owned.reduce((sum, calls) => sum + calls, free);
      const others = (index: number) => established(...owned.filter((_, other) => other !== index));
      let moved = true;
      for (let round = 0; round < 20 && moved; round++) {
        moved = false;
        for (const [index, own] of owned.entries()) {
          const back = callsToRelease(withPart(own), others(index), limits);
          const unowned = isLeft ? { released: back, left: free } : { released: free + back, left: 0 };
          const { released, left } = callsToClaim(withPart(own - back), others(index), unowned, limits);
          const taken = released + left;
          expect(back).toBeLessThanOrEqual(own);
          owned[index] = own - back + taken;
          free += back - taken;
          moved ||= back !== taken;
        }
        expect(owned.reduce((sum, calls) => sum + calls, free)).toBe(total);
      }
      expect(moved).toBe(false);
      expect(free).toBe(0);
      const fair = Math.ceil(total / owned.length);
      expect(Math.max(...owned)).toBeLessThanOrEqual(fair + Math.max(1, fair / 20));
    }),
  );
});

test("a release leaves room at the others for all of it, and a claim stays within what the instance can poll", () => {
  const poller = fc.record({ calls: fc.nat(2000), ratePerSecond: fc.nat(60) });
  fc.assert(
    fc.property(poller, fc.array(poller, { maxLength: 6 }), fc.nat(500), (own, others, released) => {
      const count = others.length + 1;
      const total = [own, ...others].reduce((sum, { calls }) => sum + calls, 0);
      const room = others.map((other) => Math.max(0, pollableCalls(other, total, count, limits) - other.calls));
      expect(callsToRelease(own, others, limits)).toBeLessThanOrEqual(room.reduce((sum, each) => sum + each, 0));
      const claim = callsToClaim(own, others, { released, left: 0 }, limits);
      if (claim.released > 0) expect(own.calls + claim.released).toBeLessThanOrEqual(pollableCalls(own, total + released, count, limits));
    }),
  );
});

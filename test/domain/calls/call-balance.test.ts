import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { callsToClaim, callsToRelease } from "../../../src/domain/calls/call-balance.ts";

describe("giving back", () => {
  test.each([
    ["alone, one keeps everything", 100, [], 0],
    ["a newcomer has none: half goes", 100, [0], 50],
    ["only what is beyond the fair share", 100, [40, 100], 20],
    ["everybody has the same", 50, [50, 50], 0],
    ["a small difference stays", 105, [95, 100], 0],
    ["three on one instance are shared", 3, [0, 0], 2],
    ["one call stays where it is", 1, [0, 0], 0],
    ["who has less gives nothing", 10, [100], 0],
  ])("%s", (_, own, others, expected) => {
    expect(callsToRelease({ own, others })).toBe(expected);
  });
});

describe("claiming", () => {
  test.each([
    ["alone, one takes everything", 0, [], 100, 100],
    ["two that start together take half each", 0, [0], 101, 51],
    ["the fair share of what a dead one had", 100, [100], 100, 50],
    ["an instance above its share takes nothing", 100, [10], 20, 0],
    ["nothing is free", 0, [100], 0, 0],
  ])("%s", (_, own, others, free, expected) => {
    expect(callsToClaim({ own, others, free })).toBe(expected);
  });
});

test("rounds of releases and claims lose no call, converge, and leave every instance near its share", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(3000), { minLength: 1, maxLength: 8 }), fc.nat(3000), (start, startFree) => {
      const owned = [...start];
      let free = startFree;
      const total = owned.reduce((sum, calls) => sum + calls, free);
      const others = (index: number) => owned.filter((_, other) => other !== index);
      let moved = true;
      for (let round = 0; round < 20 && moved; round++) {
        moved = false;
        for (const [index, own] of owned.entries()) {
          const back = callsToRelease({ own, others: others(index) });
          const taken = callsToClaim({ own: own - back, others: others(index), free: free + back });
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

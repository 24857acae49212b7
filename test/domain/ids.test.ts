import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { StoreOverloadedError } from "../../src/domain/errors.ts";
import { decodeId, encodeId, KeyBlock, KeySequence, newId, nextBlockStart, unknownKey, useKeys } from "../../src/domain/ids.ts";

const startMs = Date.UTC(2026, 10, 24, 12);
const key = fc.maxSafeNat();

describe("the text of an id", () => {
  it("gives back its key", () => {
    fc.assert(fc.property(key, (n) => decodeId(encodeId("wch", n)) === n));
    for (const edge of [0, 1, 2 ** 30 - 1, 2 ** 30, 2 ** 52, Number.MAX_SAFE_INTEGER]) expect(decodeId(encodeId("dlv", edge))).toBe(edge);
  });

  it("sorts as its key does, and has the prefix and 11 letters or digits", () => {
    fc.assert(
      fc.property(key, key, (a, b) => {
        const [first, second] = [encodeId("ep", a), encodeId("ep", b)];
        expect(Math.sign(Number(first > second) - Number(first < second))).toBe(Math.sign(a - b));
        expect(first).toMatch(/^ep_[0-9a-z]{11}$/);
      }),
    );
  });

  it.each([
    "",
    "wch",
    "wch_",
    "wch_0000000000",
    "wch_000000000000",
    "wch_0000000000u",
    "wch_0000000000A",
    "wch_0000000000é",
    "00000000000",
    "wch-00000000000",
    "wch_8zzzzzzzzzz",
    "evt_Zm9vYmFyYmF6Zm9vYmFyYmF6MDEyMzQ1",
  ])("is unknown if it is %j", (text) => expect(decodeId(text)).toBe(unknownKey));
});

describe("a sequence of keys", () => {
  it("ascends with clocks that step forwards and backwards", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -7_200_000, max: 7_200_000 }), { maxLength: 50 }), (steps) => {
        const sequence = new KeySequence(3, -1);
        let nowMs = startMs;
        let last = -1;
        for (const step of steps) {
          nowMs += step;
          const next = sequence.next(nowMs);
          expect(next).toBeGreaterThan(last);
          last = next;
        }
      }),
    );
  });

  it("never meets a sequence of another slot", () => {
    const [one, other] = [new KeySequence(1, -1), new KeySequence(2, -1)];
    const keys = Array.from({ length: 300_000 }, (_, index) => (index % 2 === 0 ? one : other).next(startMs));
    expect(new Set(keys).size).toBe(keys.length);
  });

  it("begins after the newest key of the store, in the same second and after a clock that was ahead", () => {
    const newest = new KeySequence(1, -1).next(startMs);
    expect(new KeySequence(1, newest).next(startMs)).toBeGreaterThan(newest);
    const ahead = new KeySequence(1, -1).next(startMs + 3_600_000);
    const behind = new KeySequence(1, ahead);
    expect(behind.next(startMs)).toBeGreaterThan(ahead);
    // The clock goes on, and so do the keys: nothing is borrowed because of the step.
    for (let second = 0; second < 60; second += 1) for (let n = 0; n < 1000; n += 1) behind.next(startMs + second * 1000);
  });

  it("gives 100,000 keys a second for a minute, and refuses when it would be over 5 s ahead", () => {
    const sequence = new KeySequence(1, -1);
    for (let second = 0; second < 60; second += 1) for (let n = 0; n < 100_000; n += 1) sequence.next(startMs + second * 1000);
    const rest = () => {
      for (let n = 0; n < 7 * 2 ** 17; n += 1) sequence.next(startMs + 60_000);
    };
    expect(rest).toThrow(StoreOverloadedError);
    expect(() => sequence.next(startMs + 61_000)).not.toThrow();
  });
});

describe("the block of a command", () => {
  it("shares no key with the block before or with a sequence", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 400 }), { minLength: 1, maxLength: 2000 }), (waits) => {
        let newest = -1;
        let nowMs = startMs;
        for (const wait of waits) {
          nowMs += wait;
          const first = nextBlockStart(newest, nowMs);
          expect(first).toBeGreaterThan(newest);
          const block = new KeyBlock(first);
          for (let n = 0; n < 128; n += 1) newest = block.next();
          expect(Math.floor(newest / 2 ** 17) % 64).toBe(0);
        }
      }),
      { numRuns: 20 },
    );
    const foreign = new KeySequence(7, -1).next(startMs);
    expect(nextBlockStart(foreign, startMs)).toBeGreaterThan(foreign);
  });

  it("refuses more ids than a command needs", () => {
    const block = new KeyBlock(nextBlockStart(-1, startMs));
    for (let n = 0; n < 128; n += 1) block.next();
    expect(() => block.next()).toThrow("at most 128");
  });
});

test("a thread with a slot keeps it when a command opens a store beside", () => {
  const sequence = new KeySequence(9, -1);
  useKeys(sequence);
  useKeys(new KeyBlock(0));
  expect(Math.floor(decodeId(newId("wch", startMs)) / 2 ** 17) % 64).toBe(9);
});

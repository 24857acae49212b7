import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decideLane, dueAfterAttempt, supersededBy } from "../../../src/domain/deliveries/lane.ts";
import type { LaneEntry } from "../../../src/domain/deliveries/lane.ts";

const holdMs = 60_000;

function entry(sequence: number, over: Partial<LaneEntry> = {}): LaneEntry {
  return { deliveryId: `dlv_${sequence}`, sequence, terminal: false, nextAttemptAtMs: 1000 * sequence, firstFailedAtMs: null, ...over };
}

describe("decideLane", () => {
  test.each<[name: string, entries: LaneEntry[], dueAtMs: (number | null)[]]>([
    ["an empty lane", [], []],
    ["a head goes when its own time comes", [entry(1)], [1000]],
    ["the rest waits for a head that was not tried", [entry(1), entry(2), entry(3)], [1000, null, null]],
    ["a deferred head holds the rest like an untried one", [entry(1, { nextAttemptAtMs: 9_000_000 }), entry(2)], [9_000_000, null]],
    ["a failing head is overtaken after the hold", [entry(1, { firstFailedAtMs: 500 }), entry(2)], [1000, 60_500]],
    [
      "but not before the later one's own time",
      [entry(1, { firstFailedAtMs: 500 }), entry(2, { nextAttemptAtMs: 90_000 })],
      [1000, 90_000],
    ],
    [
      "the third waits for the second, which did not fail yet",
      [entry(1, { firstFailedAtMs: 500 }), entry(2), entry(3)],
      [1000, 60_500, null],
    ],
    [
      "the third waits for the longer of two holds",
      [entry(1, { firstFailedAtMs: 500 }), entry(2, { firstFailedAtMs: 70_000 }), entry(3)],
      [1000, 60_500, 130_000],
    ],
    [
      "an earlier one that failed late counts as much as a later one",
      [entry(1, { firstFailedAtMs: 90_000 }), entry(2, { firstFailedAtMs: 10 }), entry(3)],
      [1000, 150_000, 150_000],
    ],
    ["a gap in the sequence (what was settled or filtered) is no wait", [entry(7)], [7000]],
  ])("%s", (_, entries, dueAtMs) => {
    expect(decideLane(entries, holdMs).map((place) => place.dueAtMs)).toEqual(dueAtMs);
  });

  test("names the earliest pending delivery", () => {
    const places = decideLane([entry(2, { firstFailedAtMs: 1 }), entry(3), entry(5)], holdMs);
    expect(places.map((place) => [place.deliveryId, place.blockedBySequence])).toEqual([
      ["dlv_2", null],
      ["dlv_3", 2],
      ["dlv_5", 2],
    ]);
  });

  const lanes = fc
    .array(fc.record({ nextAttemptAtMs: fc.nat(), firstFailedAtMs: fc.option(fc.nat()), terminal: fc.boolean() }), { maxLength: 20 })
    .map((entries) => entries.map((over, index) => entry(index + 1, over)));

  test("one rule for every place: its own time and each earlier one's hold", () => {
    fc.assert(
      fc.property(lanes, (entries) => {
        for (const [index, place] of decideLane(entries, holdMs).entries()) {
          const earlier = entries.slice(0, index);
          const holdsMs = earlier.map((other) => (other.firstFailedAtMs === null ? Infinity : other.firstFailedAtMs + holdMs));
          const dueAtMs = Math.max(entries[index]?.nextAttemptAtMs ?? 0, ...holdsMs);
          expect(place.dueAtMs).toBe(dueAtMs === Infinity ? null : dueAtMs);
        }
      }),
    );
  });

  test("settling an earlier one never makes a later one wait longer", () => {
    fc.assert(
      fc.property(lanes, fc.nat(), (entries, pick) => {
        fc.pre(entries.length > 0);
        const settled = entries[pick % entries.length];
        const after = new Map(
          decideLane(
            entries.filter((other) => other !== settled),
            holdMs,
          ).map((place) => [place.deliveryId, place.dueAtMs ?? Infinity]),
        );
        for (const place of decideLane(entries, holdMs))
          if (place.deliveryId !== settled?.deliveryId) expect(after.get(place.deliveryId)).toBeLessThanOrEqual(place.dueAtMs ?? Infinity);
      }),
    );
  });

  test("the head never waits for anything", () => {
    fc.assert(
      fc.property(lanes, (entries) => {
        fc.pre(entries.length > 0);
        expect(decideLane(entries, holdMs)[0]).toMatchObject({ dueAtMs: entries[0]?.nextAttemptAtMs, blockedBySequence: null });
      }),
    );
  });
});

describe("supersededBy", () => {
  const pending = [entry(1), entry(2, { terminal: true }), entry(3), entry(5)];

  test("late: drop settles what came before, never a terminal one", () => {
    expect(supersededBy(pending, 4, "drop")).toEqual(["dlv_1", "dlv_3"]);
  });

  test("late: send settles nothing", () => {
    expect(supersededBy(pending, 4, "send")).toEqual([]);
  });

  test("neither itself nor what comes later", () => {
    expect(supersededBy(pending, 1, "drop")).toEqual([]);
    expect(supersededBy(pending, 5, "drop")).toEqual(["dlv_1", "dlv_3"]);
  });
});

describe("dueAfterAttempt", () => {
  test("a settled delivery is never due", () => {
    for (const isInLane of [true, false])
      expect(dueAfterAttempt({ status: "delivered", nextAttemptAtMs: null }, { isInLane, dueAtMs: 5 })).toBeNull();
  });

  test("a pending one without a lane is due at its next attempt", () => {
    expect(dueAfterAttempt({ status: "pending", nextAttemptAtMs: 7 }, { isInLane: false, dueAtMs: 5 })).toBe(7);
  });

  test("a pending one in a lane stays until the lane is decided", () => {
    expect(dueAfterAttempt({ status: "pending", nextAttemptAtMs: 7 }, { isInLane: true, dueAtMs: 5 })).toBe(5);
    expect(dueAfterAttempt({ status: "pending", nextAttemptAtMs: 7 }, { isInLane: true, dueAtMs: null })).toBeNull();
  });
});

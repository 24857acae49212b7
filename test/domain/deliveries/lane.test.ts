import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decideLane, placeAfterAttempt, supersededBy } from "../../../src/domain/deliveries/lane.ts";
import type { LaneEntry } from "../../../src/domain/deliveries/lane.ts";

const holdMs = 60_000;

function entry(sequence: number, over: Partial<LaneEntry> = {}): LaneEntry {
  return {
    deliveryId: `dlv_${sequence}`,
    sequence,
    terminal: false,
    nextAttemptAtMs: 1000 * sequence,
    firstFailedAtMs: null,
    lastRecovery: null,
    ...over,
  };
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
    .array(
      fc.record({
        nextAttemptAtMs: fc.nat(),
        firstFailedAtMs: fc.option(fc.nat()),
        lastRecovery: fc.option(fc.nat()),
        terminal: fc.boolean(),
      }),
      {
        maxLength: 20,
      },
    )
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

  test("a recovery brings forward the earliest that waits for its schedule, and shortens no hold", () => {
    fc.assert(
      fc.property(lanes, (entries) => {
        for (const [index, place] of decideLane(entries, holdMs).entries()) {
          const { firstFailedAtMs, lastRecovery } = entries[index] ?? entry(0);
          const earlier = entries.slice(0, index);
          const isFirst = earlier.every((other) => other.lastRecovery === null);
          const wasOpen = earlier.every(
            (other) => other.firstFailedAtMs !== null && other.firstFailedAtMs + holdMs <= (firstFailedAtMs ?? -1),
          );
          expect(place.earlyAfter).toBe(isFirst && wasOpen && firstFailedAtMs !== null ? lastRecovery : null);
          if (place.earlyAfter !== null) expect(place.dueAtMs).not.toBeNull();
        }
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

describe("placeAfterAttempt", () => {
  const current = { dueAtMs: 5, earlyAfter: 3 };

  test("a settled delivery is never due", () => {
    for (const isInLane of [true, false])
      expect(placeAfterAttempt({ status: "delivered", nextAttemptAtMs: null, lastRecovery: null }, { isInLane, current })).toEqual({
        dueAtMs: null,
        earlyAfter: null,
      });
  });

  test("a pending one without a lane is due at its next attempt, or after the next recovery", () => {
    const after = { status: "pending", nextAttemptAtMs: 7, lastRecovery: 6 } as const;
    expect(placeAfterAttempt(after, { isInLane: false, current })).toEqual({ dueAtMs: 7, earlyAfter: 6 });
  });

  test("a pending one in a lane stays until the lane is decided", () => {
    const after = { status: "pending", nextAttemptAtMs: 7, lastRecovery: 6 } as const;
    expect(placeAfterAttempt(after, { isInLane: true, current })).toEqual(current);
  });
});

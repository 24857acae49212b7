import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { comparePlaces, feedBegin, isCursorGood, laterPlace } from "../../../src/domain/events/feed-place.ts";
import type { FeedPlace } from "../../../src/domain/events/feed-place.ts";

type Epoch = { readonly name: string; readonly first: number };
type History = { epochs: Epoch[]; events: { position: number; name: string }[] };

/** What happens to a database: an event, a start, a copy of it, the return to the copy. */
const step = fc.constantFrom("event", "event", "event", "start", "copy", "restore", "read");

describe("a reader that goes on while its cursor is good", () => {
  test("misses no event over restarts and restores, and restarts alone make no cursor bad", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        let made = 0;
        const start = ({ epochs, events }: History): History => ({
          epochs: [...epochs, { name: `epoch ${++made}`, first: (events.at(-1)?.position ?? 0) + 1 }],
          events,
        });
        let now = start({ epochs: [], events: [] });
        let copy = now;
        let isRestored = false;
        let cursor: { epoch: string; place: FeedPlace } | null = null;
        const seen: string[] = [];
        for (const what of steps) {
          const { epochs, events } = now;
          if (what === "event")
            now = { epochs, events: [...events, { position: (events.at(-1)?.position ?? 0) + 1, name: `event ${++made}` }] };
          if (what === "start") now = start(now);
          if (what === "copy") copy = now;
          if (what === "restore") [now, isRestored] = [start(copy), true];
          if (what !== "read") continue;
          const index = epochs.findIndex(({ name }) => name === cursor?.epoch);
          const next = index < 0 ? undefined : epochs[index + 1];
          const facts = {
            isEpochKnown: index >= 0,
            nextEpochAt: next === undefined ? null : ([0, next.first] as const),
            deletedTo: feedBegin,
          };
          const isGood: boolean = cursor === null || isCursorGood(cursor, facts);
          if (!isRestored) expect(isGood).toBe(true);
          const from: number = isGood ? (cursor?.place[1] ?? 0) : 0;
          seen.push(...events.filter(({ position }) => position > from).map(({ name }) => name));
          for (const { name } of events) expect(seen).toContain(name);
          cursor = { epoch: epochs.at(-1)?.name ?? "", place: [0, events.at(-1)?.position ?? 0] };
        }
      }),
      { numRuns: 1000 },
    );
  });
});

const good = (place: FeedPlace, nextEpochAt: FeedPlace | null = [7, 0], deletedTo: FeedPlace = [3, 5]) =>
  isCursorGood({ epoch: "e", place }, { isEpochKnown: true, nextEpochAt, deletedTo });

test("a cursor is good up to the next epoch and from the newest event that was deleted", () => {
  expect([good([3, 4]), good([3, 5]), good([6, 99]), good([7, 0]), good([7, 1]), good([9, 9], null)]).toEqual([
    false,
    true,
    true,
    false,
    false,
    true,
  ]);
  expect(isCursorGood({ epoch: "e", place: [4, 0] }, { isEpochKnown: false, nextEpochAt: null, deletedTo: feedBegin })).toBe(false);
});

test("places are ordered by transaction, then by position", () => {
  expect(comparePlaces([1, 9], [2, 1])).toBeLessThan(0);
  expect(laterPlace([2, 1], [2, 3])).toEqual([2, 3]);
  expect(laterPlace([2, 1], [1, 3])).toEqual([2, 1]);
});

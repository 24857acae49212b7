import { setImmediate } from "node:timers/promises";
import { expect, test } from "vitest";
import { SerializedRuns } from "../../../src/engine/runtime/serialized-runs.ts";

/** Opens `SerializedRuns` whose rounds the test ends. */
function openRounds() {
  const ends: { readonly end: () => void; readonly fail: (error: Error) => void }[] = [];
  const rounds = new SerializedRuns(() => new Promise<void>((resolve, reject) => void ends.push({ end: resolve, fail: reject })));
  return { rounds, ends };
}

test("requests during a run share one further run", async () => {
  const { rounds, ends } = openRounds();
  const asked = [rounds.run(), rounds.run(), rounds.run()];
  expect(ends).toHaveLength(1);
  ends[0]?.end();
  await Promise.all(asked);
  expect(ends).toHaveLength(2);
  ends[1]?.end();
  await rounds.ended();
  expect(ends).toHaveLength(2);
});

test("a request resolves with the current round even if new requests never stop", async () => {
  const { rounds, ends } = openRounds();
  for (let n = 0; n < 50; n++) {
    const asked = rounds.run();
    void rounds.run();
    ends[n]?.end();
    await asked;
  }
  expect(ends.length).toBeGreaterThanOrEqual(50);
});

test("a request at the very end of a round gets a round", async () => {
  const { rounds, ends } = openRounds();
  const first = rounds.run();
  ends[0]?.end();
  await first.then(() => void rounds.run());
  expect(ends).toHaveLength(2);
});

test("a round that throws rejects its requests, and the next request starts another", async () => {
  const { rounds, ends } = openRounds();
  const first = rounds.run();
  ends[0]?.fail(new Error("a bug"));
  await expect(first).rejects.toThrow("a bug");
  await rounds.ended();
  const second = rounds.run();
  expect(ends).toHaveLength(2);
  ends[1]?.end();
  await second;
});

test("runAgain resolves with a round that began after the request", async () => {
  const { rounds, ends } = openRounds();
  const first = rounds.run();
  let isOver = false;
  const later = rounds.runAgain().then(() => (isOver = true));
  ends[0]?.end();
  await first;
  await setImmediate();
  expect([ends.length, isOver]).toEqual([2, false]);
  ends[1]?.end();
  await later;
  const alone = rounds.runAgain();
  expect(ends).toHaveLength(3);
  ends[2]?.end();
  await alone;
});

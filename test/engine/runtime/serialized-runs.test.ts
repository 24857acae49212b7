import { setImmediate } from "node:timers/promises";
import { expect, test } from "vitest";
import { SerializedRuns } from "../../../src/engine/runtime/serialized-runs.ts";

/** SerializedRuns that end when the test says so. */
function openRounds() {
  const ends: { readonly end: () => void; readonly fail: (error: Error) => void }[] = [];
  const rounds = new SerializedRuns(() => new Promise<void>((resolve, reject) => void ends.push({ end: resolve, fail: reject })));
  return { rounds, ends };
}

test("one at a time, and one more for all who ask meanwhile", async () => {
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

test("who asks hears of the end of the round that runs, though others are asked for without an end", async () => {
  const { rounds, ends } = openRounds();
  for (let n = 0; n < 50; n++) {
    const asked = rounds.run();
    void rounds.run();
    ends[n]?.end();
    await asked;
  }
  expect(ends.length).toBeGreaterThanOrEqual(50);
});

test("a wish at the very end of a round is served", async () => {
  const { rounds, ends } = openRounds();
  const first = rounds.run();
  ends[0]?.end();
  await first.then(() => void rounds.run());
  expect(ends).toHaveLength(2);
});

test("what a round throws is told to who waits for it, and the next who asks begins anew", async () => {
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

test("who asks anew waits for a round that began after that", async () => {
  const { rounds, ends } = openRounds();
  const first = rounds.run();
  let isOver = false;
  const anew = rounds.runAgain().then(() => (isOver = true));
  ends[0]?.end();
  await first;
  await setImmediate();
  expect([ends.length, isOver]).toEqual([2, false]);
  ends[1]?.end();
  await anew;
  const alone = rounds.runAgain();
  expect(ends).toHaveLength(3);
  ends[2]?.end();
  await alone;
});

import { expect, test } from "vitest";
import { PacedRuns } from "../../../src/engine/runtime/paced-runs.ts";
import { FakeClock } from "../../harness/fake-clock.ts";

/** Runs that take so long on the fake clock; when each began. */
function openPace(runMs = 0) {
  const clock = new FakeClock();
  const begun: number[] = [];
  const run = () => {
    begun.push(clock.monotonicMs());
    return new Promise<void>((resolve) => void clock.setTimer(runMs, resolve));
  };
  return { clock, begun, pace: new PacedRuns({ clock, gapMs: 50, run }) };
}

test("a request after a quiet time runs at once", async () => {
  const { clock, begun, pace } = openPace();
  pace.request();
  expect(begun).toEqual([0]);
  await clock.advance(50);
  pace.request();
  expect(begun).toEqual([0, 50]);
});

test("endless requests run once per pause, and the last one is not lost", async () => {
  const { clock, begun, pace } = openPace(20);
  for (let elapsedMs = 0; elapsedMs < 640; elapsedMs += 5) {
    pace.request();
    await clock.advance(5);
  }
  expect(begun).toEqual([0, 70, 140, 210, 280, 350, 420, 490, 560, 630]);
  await clock.advance(1000);
  // What was said while the last one ran is looked at by one more.
  expect(begun.slice(10)).toEqual([700]);
  expect(clock.timerCount).toBe(0);
});

test("a request between the end of a pause and its timer starts one run, not two", async () => {
  const { clock, begun, pace } = openPace(20);
  pace.request();
  await clock.advance(10);
  pace.request();
  await clock.advance(10);
  clock.standStill(60);
  pace.request();
  await clock.advance(10);
  expect(begun).toEqual([0, 80]);
  await clock.advance(1000);
  expect(clock.timerCount).toBe(0);
});

test("a closed pace starts no run", async () => {
  const { clock, begun, pace } = openPace();
  pace.request();
  pace.request();
  await clock.advance(1);
  pace.close();
  pace.request();
  await clock.advance(1000);
  expect(begun).toEqual([0]);
});

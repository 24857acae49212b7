import { expect, test } from "vitest";
import { StoreUnavailableError } from "../../../src/domain/errors.ts";
import { Supervisor } from "../../../src/engine/runtime/supervisor.ts";
import { FakeClock } from "../../harness/fake-clock.ts";
import { silentLogger, silentMetrics } from "../../harness/silent-telemetry.ts";

const neverEnding = () => new Promise<void>(() => undefined);

function supervised(tick: () => void | Promise<void>) {
  const clock = new FakeClock();
  const setBack: number[] = [];
  let steps = 0;
  let isRefused = false;
  const supervisor = new Supervisor({
    clock,
    logger: silentLogger,
    metrics: { ...silentMetrics, wallClockStepped: () => void (steps += 1) },
    onClockSetBack: async (deltaMs) => {
      if (isRefused) throw new StoreUnavailableError("away");
      await Promise.resolve();
      setBack.push(deltaMs);
    },
  });
  let broken: Error | null = null;
  void supervisor.fatal.then((error) => (broken = error));
  supervisor.add({ name: "worker", everyMs: 5000, tick });
  supervisor.start();
  const refuse = (refused: boolean) => void (isRefused = refused);
  return { clock, supervisor, setBack, refuse, steps: () => steps, broken: () => broken?.message ?? null };
}

test("a loop whose round hangs is reported after 30 s and ends the process after 60 s", async () => {
  const { clock, supervisor, broken } = supervised(neverEnding);
  await clock.advance(29_000);
  expect(supervisor.silentLoops()).toEqual([]);
  await clock.advance(2000);
  expect(supervisor.silentLoops()).toEqual(["worker"]);
  await clock.advance(28_000);
  expect(broken()).toBeNull();
  await clock.advance(3000);
  expect(broken()).toBe("the loop worker has not ticked for 60 s");
});

test("a loop whose rounds fail backs off and ends the process like one that hangs", async () => {
  let rounds = 0;
  const { clock, broken } = supervised(() => {
    rounds += 1;
    throw new Error("a bug");
  });
  await clock.advance(62_000);
  expect(broken()).not.toBeNull();
  // After 0, 2, 6, 14, 30 and 60 s.
  expect(rounds).toBe(6);
});

test("a loop that the store refused tries again before its period is over", async () => {
  let rounds = 0;
  const { clock } = supervised(() => {
    rounds += 1;
    if (rounds === 1) throw new StoreUnavailableError("away");
  });
  await clock.advance(2500);
  expect(rounds).toBe(2);
  await clock.advance(5000);
  expect(rounds).toBe(3);
});

test("a process that resumes after a standstill gives every loop its full time again", async () => {
  // Setup: a stopped process, a frozen machine. What this proves: no loop counts as hung for time in which the process did not run.
  let rounds = 0;
  const { clock, supervisor, broken } = supervised(() => void (rounds += 1));
  await clock.advance(2000);
  const before = rounds;
  clock.standStill(3_600_000);
  expect(supervisor.silentLoops()).toEqual([]);
  await clock.advance(10_000);
  expect(rounds).toBeGreaterThan(before);
  expect(broken()).toBeNull();
});

test("a loop that hangs through a standstill is noticed a minute later", async () => {
  const { clock, broken } = supervised(neverEnding);
  await clock.advance(20_000);
  clock.standStill(3_600_000);
  await clock.advance(58_000);
  expect(broken()).toBeNull();
  await clock.advance(4000);
  expect(broken()).not.toBeNull();
});

test("a wall clock set back shifts the due times once; one set forward is only counted", async () => {
  const { clock, setBack, steps } = supervised(() => undefined);
  await clock.advance(2000);
  clock.setWall(clock.nowMs() - 3_600_000);
  await clock.advance(5000);
  expect({ setBack, steps: steps() }).toEqual({ setBack: [3_600_000], steps: 1 });
  clock.setWall(clock.nowMs() + 7_200_000);
  await clock.advance(5000);
  expect({ setBack, steps: steps() }).toEqual({ setBack: [3_600_000], steps: 2 });
  clock.setWall(clock.nowMs() + 20_000);
  await clock.advance(5000);
  expect(steps()).toBe(2);
});

test("a shift that the store refuses is retried until it succeeds", async () => {
  const { clock, setBack, refuse, broken } = supervised(() => undefined);
  refuse(true);
  clock.setWall(clock.nowMs() - 3_600_000);
  await clock.advance(90_000);
  expect(setBack).toEqual([]);
  refuse(false);
  await clock.advance(2000);
  expect({ setBack, broken: broken() }).toEqual({ setBack: [3_600_000], broken: null });
});

test("after a stop no round begins", async () => {
  let rounds = 0;
  const { clock, supervisor } = supervised(() => void (rounds += 1));
  await clock.advance(6000);
  await supervisor.stop(1000);
  await supervisor.stop(1000);
  const before = rounds;
  await clock.advance(60_000);
  expect(rounds).toBe(before);
  expect(clock.timerCount).toBe(0);
});

test("a stop does not wait for a round that hangs longer than it has", async () => {
  const { clock, supervisor } = supervised(neverEnding);
  await clock.advance(6000);
  let stopped = false;
  void supervisor.stop(1000).then(() => (stopped = true));
  await clock.advance(999);
  expect(stopped).toBe(false);
  await clock.advance(1);
  expect(stopped).toBe(true);
});

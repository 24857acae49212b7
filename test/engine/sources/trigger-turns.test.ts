import { expect, test } from "vitest";
import { SourceGate } from "../../../src/engine/sources/source-gate.ts";
import { TriggerTurns } from "../../../src/engine/sources/trigger-turns.ts";
import type { QueuedPoll } from "../../../src/engine/sources/fair-poll-queue.ts";
import { FakeClock } from "../../harness/fake-clock.ts";
import { queuedPoll } from "../../harness/polling.ts";

/** A source with this rate, whose token of the moment is taken. */
function source(maxPollsPerSecond: number) {
  const clock = new FakeClock();
  const create = () => {
    const described = { id: "src_1", name: "default", kind: "polyai-legacy", maxPollsPerSecond } as const;
    return new SourceGate<QueuedPoll>({ source: described, clock, intervalMinMs: 2000, intervalMaxMs: 5000, corroborationMs: 600_000 });
  };
  const state = { gate: create() };
  const turns = new TriggerTurns(clock, () => state.gate);
  const ended: string[] = [];
  const wait = (accountId: string, name = accountId) => void turns.wait(accountId, 10_000).then((end) => ended.push(`${name} ${end}`));
  const replace = () => (state.gate = create());
  while (state.gate.takeTriggerTurn() === 0);
  return { clock, state, turns, wait, ended, replace };
}

test("accounts take turns: one trigger of a quiet account waits for one of each other, however many those have", async () => {
  const { clock, wait, ended } = source(1);
  for (let n = 1; n <= 8; n++) wait("a", `a${n}`);
  wait("b", "b1");
  wait("c", "c1");
  wait("b", "b2");
  await clock.advance(6000);
  const order = ended.map((end) => end.split(" ")[0]);
  expect(order.slice(0, 3).toSorted()).toEqual(["a1", "b1", "c1"]);
  expect(order.slice(3, 5).toSorted()).toEqual(["a2", "b2"]);
});

test("a trigger without a turn in 10 s is late, not a moment before, and leaves nothing behind", async () => {
  const { clock, state, wait, ended } = source(0.01);
  wait("a");
  await clock.advance(9999);
  expect([ended, state.gate.triggersWaiting]).toEqual([[], 1]);
  await clock.advance(1);
  expect([ended, state.gate.triggersWaiting, clock.timerCount]).toEqual([["a late"], 0, 0]);
});

test("a suspended source, and one that is replaced, are closed to all who wait", async () => {
  const { clock, state, wait, ended, replace } = source(0.5);
  wait("a");
  wait("b");
  state.gate.queue.add(queuedPoll({ isFirstPoll: true }));
  replace();
  await clock.advance(600);
  expect(ended).toEqual(["a closed", "b closed"]);
  const { gate } = state;
  const entry = queuedPoll({ isFirstPoll: true });
  gate.queue.add(entry);
  expect(gate.next()).toBe(entry);
  gate.record(entry, { kind: "unauthorized", statusCode: 401 });
  wait("c");
  await clock.settle();
  expect(ended.at(-1)).toBe("c closed");
  expect(clock.timerCount).toBe(0);
});

test("a stop ends every wait, and those to come, and leaves no timer", async () => {
  const { clock, state, wait, turns, ended } = source(0.01);
  wait("a");
  wait("b");
  turns.stop();
  wait("c");
  await clock.settle();
  expect([ended.toSorted(), state.gate.triggersWaiting, clock.timerCount]).toEqual([["a stopped", "b stopped", "c stopped"], 0, 0]);
});

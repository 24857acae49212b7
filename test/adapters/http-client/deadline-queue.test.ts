import fc from "fast-check";
import { expect, test } from "vitest";
import { DeadlineQueue } from "../../../src/adapters/http-client/deadline-queue.ts";
import { FakeClock } from "../../harness/fake-clock.ts";

const lengthMs = 100;

/** A queue whose deadlines note when they passed. */
function startedQueue() {
  const clock = new FakeClock(0, 0);
  const queue = new DeadlineQueue(clock, lengthMs);
  const passed: { readonly name: number; readonly atMs: number }[] = [];
  const start = (name: number) => {
    const deadline = queue.start();
    deadline.onOver = () => void passed.push({ name, atMs: clock.monotonicMs() });
    return deadline;
  };
  return { clock, queue, passed, start };
}

test("a deadline passes once, at its time and in order, unless it was finished", async () => {
  const step = fc.record({ finishes: fc.option(fc.nat(20)), passMs: fc.nat(60) });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const { clock, queue, passed, start } = startedQueue();
      const deadlines = [];
      const expected: { readonly name: number; readonly atMs: number }[] = [];
      const finished = new Set<number>();
      for (const [name, { finishes, passMs }] of steps.entries()) {
        deadlines.push(start(name));
        expected.push({ name, atMs: clock.monotonicMs() + lengthMs });
        const other = finishes === null ? undefined : deadlines[finishes];
        if (other !== undefined && finishes !== null) {
          // Finishing twice, or after the deadline, changes nothing.
          if (!other.isOver) finished.add(finishes);
          queue.finish(other);
          queue.finish(other);
        }
        await clock.advance(passMs);
      }
      await clock.advance(lengthMs);
      expect(passed).toEqual(expected.filter(({ name }) => !finished.has(name)));
      expect(deadlines.map(({ isOver }) => isOver)).toEqual(deadlines.map((_, name) => !finished.has(name)));
      expect(clock.timerCount).toBe(0);
    }),
    { numRuns: 100 },
  );
});

test("a deadline that is over refers to nothing, so that it keeps no other alive", async () => {
  const { clock, queue, start } = startedQueue();
  const [first, second, third] = [start(1), start(2), start(3)];
  queue.finish(second);
  await clock.advance(lengthMs);
  for (const deadline of [first, second, third])
    expect(Object.values(deadline).filter((value) => typeof value === "object" && value !== null)).toEqual([]);
});

test("the timer ends with the last deadline", () => {
  const { clock, queue, start } = startedQueue();
  const [first, second] = [start(1), start(2)];
  queue.finish(first);
  expect(clock.timerCount).toBe(1);
  queue.finish(second);
  expect(clock.timerCount).toBe(0);
});

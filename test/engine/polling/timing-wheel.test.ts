import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { TimingWheel } from "../../../src/engine/polling/timing-wheel.ts";
import type { WheelEntry } from "../../../src/engine/polling/timing-wheel.ts";
import { FakeClock } from "../../harness/fake-clock.ts";

type Entry = WheelEntry & { readonly name: number };
const tickMs = 12;

function entry(name: number): Entry {
  return { name, dueAtMonotonicMs: 0, wheelSlot: -1, wheelIndex: -1 };
}

function scheduleOn(clock: FakeClock) {
  const fired: { readonly entry: Entry; readonly atMs: number }[] = [];
  const schedule = new TimingWheel<Entry>(clock, (entries) => {
    for (const each of entries) fired.push({ entry: each, atMs: clock.monotonicMs() });
  });
  return { schedule, fired, names: () => fired.map(({ entry: each }) => each.name) };
}

describe("the timing wheel", () => {
  test("every entry fires once, in order, never early and within a tick, after any moves and removals", async () => {
    const delayMs = fc.oneof(
      fc.nat(4000).map((eighths) => eighths / 8),
      fc.integer({ min: 0, max: 200_000 }),
    );
    const step = fc.record({ name: fc.nat(20), delayMs, removes: fc.boolean(), passMs: fc.nat(400) });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const clock = new FakeClock(0, 0);
        const { schedule, fired } = scheduleOn(clock);
        const entries = Array.from({ length: 21 }, (_, name) => entry(name));
        const expected = new Map<number, number>();
        const taken = { count: 0 };
        const check = () => {
          for (const { entry: each, atMs } of fired.slice(taken.count)) {
            const dueMs = expected.get(each.name);
            expect(dueMs).toBeDefined();
            expect(atMs).toBeGreaterThanOrEqual(dueMs ?? 0);
            expect(atMs).toBeLessThan((dueMs ?? 0) + 2 * tickMs);
            expected.delete(each.name);
          }
          taken.count = fired.length;
          expect(schedule.size).toBe(expected.size);
          expect(clock.timerCount).toBeLessThanOrEqual(1);
        };
        for (const { name, delayMs, removes, passMs } of steps) {
          const each = entries[name] ?? entry(name);
          if (removes) {
            schedule.remove(each);
            expected.delete(name);
          } else {
            schedule.add(each, clock.monotonicMs() + delayMs);
            expected.set(name, clock.monotonicMs() + delayMs);
          }
          await clock.advance(passMs);
          check();
        }
        await clock.advance(200_100);
        check();
        expect(expected.size).toBe(0);
        expect(clock.timerCount).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  test("what is due after a long sleep comes in order of its time", async () => {
    const clock = new FakeClock(0, 0);
    const { schedule, names } = scheduleOn(clock);
    const dues = [90_000, 20, 70_000, 65_600, 10];
    for (const [name, dueMs] of dues.entries()) schedule.add(entry(name), dueMs);
    schedule.stop();
    await clock.advance(100_000);
    expect(names()).toEqual([]);
    schedule.tick();
    expect(names()).toEqual([4, 1, 3, 2, 0]);
  });

  test("an entry added after an idle hour fires at its own time", async () => {
    const clock = new FakeClock(0, 0);
    const { schedule, fired } = scheduleOn(clock);
    await clock.advance(3_600_000);
    schedule.add(entry(1), clock.monotonicMs() + 50);
    await clock.advance(1000);
    expect(fired).toHaveLength(1);
    expect(fired[0]?.atMs).toBeGreaterThanOrEqual(3_600_050);
    expect(fired[0]?.atMs).toBeLessThan(3_600_050 + 2 * tickMs);
  });

  test("a stopped wheel holds no timer", () => {
    const clock = new FakeClock(0, 0);
    const { schedule } = scheduleOn(clock);
    schedule.add(entry(1), 100);
    schedule.stop();
    expect(clock.timerCount).toBe(0);
  });
});

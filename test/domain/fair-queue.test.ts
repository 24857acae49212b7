import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FairQueue } from "../../src/domain/fair-queue.ts";
import type { QueuedItem } from "../../src/domain/fair-queue.ts";

type Entry = { readonly flow: string; readonly cost: number; readonly number: number };

/** A queue whose entries are numbered as they are added. */
class Numbered {
  readonly queue = new FairQueue<Entry>();
  #count = 0;

  entry(flow: string, cost: number): Entry {
    return { flow, cost, number: this.#count++ };
  }

  add(flow: string, cost = 1): QueuedItem<Entry> {
    return this.queue.add(flow, this.entry(flow, cost), cost);
  }

  addMany(flow: string, count: number, cost = 1): void {
    for (let n = 0; n < count; n++) this.add(flow, cost);
  }

  /** Takes `count` entries; the names of their flows in order. */
  take(count: number): string {
    return Array.from({ length: count }, () => this.queue.take()?.flow ?? "-").join("");
  }
}

describe("turns", () => {
  test("go round the flows, each first in, first out", () => {
    const queue = new FairQueue<string>();
    for (const item of ["a1", "a2", "a3", "b1", "b2", "c1"]) queue.add(item.slice(0, 1), item, 1);
    expect(Array.from({ length: 7 }, () => queue.take())).toEqual(["a1", "b1", "c1", "a2", "b2", "a3", null]);
  });

  test("are weighted by cost, not by count", () => {
    const world = new Numbered();
    world.addMany("a", 3, 1000);
    world.addMany("b", 2500, 1);
    expect(world.take(1)).toBe("a");
    expect(world.take(1000)).toBe("b".repeat(1000));
    expect(world.take(1001)).toBe(`a${"b".repeat(1000)}`);
  });

  test("of a newcomer come at once, however much the others have waiting", () => {
    const world = new Numbered();
    world.addMany("a", 8, 1000);
    world.addMany("b", 8, 1000);
    expect(world.take(3)).toBe("aba");
    world.add("c");
    expect(world.take(3)).toBe("bca");
  });

  test("that were not used while a flow was idle are not made up for", () => {
    const world = new Numbered();
    world.addMany("a", 200);
    world.take(100);
    world.addMany("b", 100);
    expect(world.take(6)).toBe("bababa");
  });

  test("of an empty queue are not remembered", () => {
    const world = new Numbered();
    world.add("a", 1000);
    expect(world.take(2)).toBe("a-");
    world.addMany("a", 2);
    world.addMany("b", 2);
    expect(world.take(4)).toBe("abab");
  });

  test("of one flow among a hundred are a hundredth", () => {
    const world = new Numbered();
    for (let flow = 0; flow < 100; flow++) world.addMany(String.fromCharCode(200 + flow), 5);
    const first = world.take(100);
    expect(new Set(first).size).toBe(100);
    expect(new Set(world.take(100)).size).toBe(100);
  });
});

describe("an item", () => {
  test("that is removed leaves the turns as they were", () => {
    const world = new Numbered();
    const [first, , last] = [world.add("a", 5), world.add("a", 5), world.add("a", 5)];
    world.add("b", 5);
    world.queue.remove(first);
    world.queue.remove(last);
    world.queue.remove(last);
    expect(world.queue.size).toBe(2);
    expect(world.take(3)).toBe("ab-");
    world.queue.remove(first);
    expect(world.queue.size).toBe(0);
  });

  test("of an unknown flow is not there", () => {
    expect(new FairQueue().takeFrom("a")).toBeNull();
    expect(new FairQueue().peek()).toBeNull();
  });
});

test("a charge delays the flow as if its item had cost that much", () => {
  const world = new Numbered();
  world.addMany("a", 6);
  world.addMany("b", 6);
  expect(world.take(2)).toBe("ab");
  world.queue.charge("a", 3);
  // The flow `c` is idle and pays for work that was done for it.
  world.queue.charge("c", 2);
  world.addMany("c", 1);
  expect(world.take(10)).toBe("bcbbababaa");
});

describe("a paused flow", () => {
  test("waits while the others take turns, and continues without credit", () => {
    const world = new Numbered();
    world.addMany("a", 4);
    world.addMany("b", 100);
    world.queue.pause("a");
    world.queue.pause("c");
    world.addMany("c", 2);
    expect(world.take(50)).toBe("b".repeat(50));
    world.queue.resume("a");
    world.queue.resume("c");
    expect([...world.take(6)].toSorted().join("")).toBe("aabbcc");
  });

  test("is served out of turn by name", () => {
    const world = new Numbered();
    world.queue.pause("a");
    world.addMany("a", 2);
    expect(world.queue.peek()).toBeNull();
    expect(world.queue.takeFrom("a")).toMatchObject({ number: 0 });
    expect(world.queue.size).toBe(1);
    world.queue.resume("a");
    expect(world.take(1)).toBe("a");
  });
});

test("idle flows are forgotten, also while another flow never is", () => {
  const world = new Numbered();
  world.addMany("busy", 10);
  let most = 0;
  for (let n = 0; n < 10_000; n++) {
    world.add("busy");
    world.add(`account ${n}`);
    world.take(2);
    most = Math.max(most, world.queue.flowCount);
  }
  expect(most).toBeLessThan(200);
});

test("what waits is drained, and the queue goes on", () => {
  const world = new Numbered();
  world.addMany("a", 2);
  world.addMany("b", 1);
  world.queue.pause("c");
  world.addMany("c", 1);
  expect(
    world.queue
      .drain()
      .map(({ flow }) => flow)
      .toSorted(),
  ).toEqual(["a", "a", "b", "c"]);
  expect(world.queue.size).toBe(0);
  world.add("c");
  expect(world.take(1)).toBe("-");
  world.queue.resume("c");
  expect(world.take(1)).toBe("c");
});

const flows = fc.constantFrom("a", "b", "c", "d", "e");
const costs = fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 1000 }));
const add = fc.record({ kind: fc.constant("add" as const), flow: flows, cost: costs });
const take = fc.record({ kind: fc.constant("take" as const) });
const anyStep = fc.oneof(
  { weight: 6, arbitrary: add },
  { weight: 5, arbitrary: take },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("take_from" as const), flow: flows }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("remove" as const), place: fc.nat(50) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("charge" as const), flow: flows, cost: costs }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("pause" as const), flow: flows }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("resume" as const), flow: flows }) },
);

test("property: nothing is lost, doubled or taken before an older item of its flow, and paused flows have no turn", () => {
  fc.assert(
    fc.property(fc.array(anyStep, { maxLength: 200 }), (steps) => {
      const world = new Numbered();
      const waiting = new Map<string, Entry[]>();
      const tickets: QueuedItem<Entry>[] = [];
      const paused = new Set<string>();
      const leave = (entry: Entry) => {
        const of = waiting.get(entry.flow) ?? [];
        expect(of.shift()).toBe(entry);
      };
      for (const step of steps) {
        if (step.kind === "add") {
          const ticket = world.add(step.flow, step.cost);
          waiting.set(step.flow, [...(waiting.get(step.flow) ?? []), ticket.item]);
          tickets.push(ticket);
        } else if (step.kind === "take") {
          const next = world.queue.peek();
          const taken = world.queue.take();
          expect(taken).toBe(next?.item ?? null);
          const isAnyReady = [...waiting].some(([flow, entries]) => entries.length > 0 && !paused.has(flow));
          expect(taken !== null).toBe(isAnyReady);
          if (taken === null) continue;
          expect(paused.has(taken.flow)).toBe(false);
          leave(taken);
        } else if (step.kind === "take_from") {
          const taken = world.queue.takeFrom(step.flow);
          if (taken === null) expect(waiting.get(step.flow) ?? []).toEqual([]);
          else leave(taken);
        } else if (step.kind === "remove") {
          const [ticket] = tickets.splice(step.place % Math.max(1, tickets.length), 1);
          if (ticket === undefined) continue;
          world.queue.remove(ticket);
          const { item } = ticket;
          waiting.set(
            item.flow,
            (waiting.get(item.flow) ?? []).filter((entry) => entry !== item),
          );
        } else if (step.kind === "charge") world.queue.charge(step.flow, step.cost);
        else if (step.kind === "pause") {
          world.queue.pause(step.flow);
          paused.add(step.flow);
        } else {
          world.queue.resume(step.flow);
          paused.delete(step.flow);
        }
        expect(world.queue.size).toBe([...waiting.values()].reduce((sum, entries) => sum + entries.length, 0));
      }
      for (const flow of paused) world.queue.resume(flow);
      for (let left = world.queue.take(); left !== null; left = world.queue.take()) leave(left);
      expect([...waiting.values()].flat()).toEqual([]);
    }),
  );
});

test("property: while two flows wait, what is taken from them differs by at most one item of each", () => {
  const steps = fc.array(fc.oneof({ weight: 3, arbitrary: add }, { weight: 2, arbitrary: take }), { minLength: 20, maxLength: 300 });
  fc.assert(
    fc.property(steps, (steps) => {
      const largest = (flow: string) => Math.max(0, ...steps.map((step) => (step.kind === "add" && step.flow === flow ? step.cost : 0)));
      const bound = largest("a") + largest("b");
      // The difference while both wait; its span is the largest difference over any part of that time.
      const waiting = { a: 0, b: 0 };
      let difference = 0;
      let [lowest, highest] = [0, 0];
      const world = new Numbered();
      const restart = () => {
        difference = 0;
        [lowest, highest] = [0, 0];
      };
      for (const step of steps) {
        if (step.kind === "add") {
          world.add(step.flow, step.cost);
          if (step.flow === "a" || step.flow === "b") {
            if (waiting[step.flow] === 0) restart();
            waiting[step.flow] += 1;
          }
          continue;
        }
        const taken = world.queue.take();
        if (taken?.flow !== "a" && taken?.flow !== "b") continue;
        const bothWaited = waiting.a > 0 && waiting.b > 0;
        waiting[taken.flow] -= 1;
        if (!bothWaited) continue;
        difference += taken.flow === "a" ? taken.cost : -taken.cost;
        [lowest, highest] = [Math.min(lowest, difference), Math.max(highest, difference)];
        expect(highest - lowest).toBeLessThanOrEqual(bound);
      }
    }),
    { numRuns: 300 },
  );
});

test("property: before the first item of an idle flow, each other flow has at most one turn", () => {
  const steps = fc.array(fc.oneof({ weight: 3, arbitrary: add }, { weight: 2, arbitrary: take }), { maxLength: 100 });
  fc.assert(
    fc.property(steps, fc.array(add, { maxLength: 100 }), costs, (before, after, cost) => {
      const world = new Numbered();
      for (const step of before)
        if (step.kind === "add") world.add(step.flow, step.cost);
        else world.queue.take();
      world.add("newcomer", cost);
      const turns = new Map<string, number>();
      for (const step of [...after, ...after, ...after]) {
        const taken = world.queue.take();
        expect(taken).not.toBeNull();
        if (taken === null || taken.flow === "newcomer") return;
        turns.set(taken.flow, (turns.get(taken.flow) ?? 0) + 1);
        expect(turns.get(taken.flow)).toBe(1);
        world.add(step.flow, step.cost);
      }
    }),
    { numRuns: 300 },
  );
});

test("property: one flow alone is a plain queue", () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(costs, fc.constant(null)), { maxLength: 100 }), (steps) => {
      const world = new Numbered();
      const plain: Entry[] = [];
      for (const cost of steps) {
        if (cost === null) expect(world.queue.take()).toBe(plain.shift() ?? null);
        else plain.push(world.add("a", cost).item);
      }
    }),
  );
});

import { describe, expect, test } from "vitest";
import { FairSlots, SlotsFull } from "../../src/adapters/fair-slots.ts";

/** Work that ends when the test says so. */
function startWork(slots: FairSlots) {
  const started: string[] = [];
  const ends = new Map<string, () => void>();
  const start = async (group: string, name: string): Promise<void> => {
    const release = await slots.acquire(group);
    started.push(name);
    const { promise, resolve } = Promise.withResolvers<void>();
    ends.set(name, resolve);
    await promise;
    release();
  };
  return { started, start, end: (name: string) => ends.get(name)?.() };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

describe("slots", () => {
  const limits = { total: 3, perGroup: 2, waiting: 16, maxWaitMs: 60_000 };

  test("no group has more than its own, none all, and groups that wait take turns", async () => {
    const { started, start, end } = startWork(new FairSlots(limits));
    const a = ["a1", "a2", "a3", "a4"].map((name) => start("a", name));
    const b = ["b1", "b2", "b3"].map((name) => start("b", name));
    await settled();
    expect(started).toEqual(["a1", "a2", "b1"]);
    end("b1");
    await b[0];
    await settled();
    expect(started).toEqual(["a1", "a2", "b1", "b2"]);
    end("a1");
    await a[0];
    end("a2");
    await a[1];
    await settled();
    expect(started).toEqual(["a1", "a2", "b1", "b2", "a3", "b3"]);
    end("b2");
    await b[1];
    await settled();
    expect(started.at(-1)).toBe("a4");
    for (const name of ["a3", "a4", "b3"]) end(name);
    await Promise.all([...a, ...b]);
  });

  test("a group that fills the places to wait excludes no other, and a full one is refused", async () => {
    const slots = new FairSlots({ ...limits, total: 1, perGroup: 1, waiting: 8 });
    const release = await slots.acquire("a");
    const waiting = Array.from({ length: 4 }, () => slots.acquire("a"));
    await expect(slots.acquire("a")).rejects.toBeInstanceOf(SlotsFull);
    const other = slots.acquire("b");
    release();
    const releaseFirst = await Promise.race(waiting);
    releaseFirst();
    releaseFirst();
    const releaseOther = await other;
    releaseOther();
    for (const each of waiting.slice(1)) (await each)();
  });

  test("a wait that takes too long is refused, and its place is free for others", async () => {
    const slots = new FairSlots({ total: 1, perGroup: 1, waiting: 1, maxWaitMs: 20 });
    const release = await slots.acquire("a");
    await expect(slots.acquire("b")).rejects.toBeInstanceOf(SlotsFull);
    const next = slots.acquire("c");
    release();
    expect(await next).toBeTypeOf("function");
  });
});

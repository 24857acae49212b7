import { describe, expect, test } from "vitest";
import { FairPollQueue } from "../../../src/engine/sources/fair-poll-queue.ts";
import type { QueuedPoll } from "../../../src/engine/sources/fair-poll-queue.ts";

type Entry = QueuedPoll & { readonly name: string };

function repeat(accountId: string, name: string, hasAnswered = false): Entry {
  return { accountId, name, hasAnswered, isFirstPoll: false, isQueued: false, queuedOrder: 0, dueAtMonotonicMs: 0 };
}

function first(accountId: string, name: string): Entry {
  return { ...repeat(accountId, name), isFirstPoll: true };
}

function queueOf(...entries: readonly Entry[]) {
  const queue = new FairPollQueue<Entry>();
  for (const entry of entries) queue.add(entry);
  const repeats = () => Array.from({ length: queue.repeatCount }, () => queue.nextRepeat()?.name);
  return { queue, repeats };
}

describe("the fair poll queue", () => {
  test("accounts take turns, each with its oldest first", () => {
    const { repeats } = queueOf(
      repeat("a", "a1"),
      repeat("a", "a2"),
      repeat("a", "a3"),
      repeat("b", "b1"),
      repeat("b", "b2"),
      repeat("c", "c1"),
    );
    expect(repeats()).toEqual(["a1", "b1", "c1", "a2", "b2", "a3"]);
  });

  test("an account that comes back waits for those that are there", () => {
    const { queue, repeats } = queueOf(repeat("a", "a1"), repeat("b", "b1"), repeat("b", "b2"));
    expect(queue.nextRepeat()?.name).toBe("a1");
    queue.add(repeat("a", "a2"));
    expect(repeats()).toEqual(["b1", "a2", "b2"]);
  });

  test("an entry is queued once, and a removed one is skipped", () => {
    const [a1, a2, a3] = [repeat("a", "a1"), repeat("a", "a2"), repeat("a", "a3")];
    const { queue, repeats } = queueOf(a1, a2, a3, a1);
    queue.remove(a2);
    queue.remove(a2);
    expect(queue.size).toBe(2);
    expect(repeats()).toEqual(["a1", "a3"]);
    expect(queue.size).toBe(0);
    expect(queue.nextRepeat()).toBeNull();
  });

  test("an account of which everything was taken out does not end the others' turns", () => {
    const a1 = repeat("a", "a1");
    const { queue, repeats } = queueOf(a1, repeat("b", "b1"));
    queue.remove(a1);
    expect(repeats()).toEqual(["b1"]);
  });

  test("first polls are a queue of their own", () => {
    const { queue } = queueOf(repeat("a", "a1"), first("a", "f1"), first("a", "f2"));
    expect([queue.nextFirst()?.name, queue.nextFirst()?.name, queue.nextFirst()]).toEqual(["f1", "f2", null]);
    expect(queue.size).toBe(1);
  });

  test("the first polls of a thousand calls of one account do not hold up another's", () => {
    const { queue } = queueOf(first("a", "f1"), first("a", "f2"), first("a", "f3"), first("b", "g1"), first("c", "h1"));
    expect(Array.from({ length: 5 }, () => queue.nextFirst()?.name)).toEqual(["f1", "g1", "h1", "f2", "f3"]);
  });

  test("an entry that was removed and added again is last, once, and counted once", () => {
    const again = first("a", "f1");
    const { queue, repeats } = queueOf(again, first("a", "f2"));
    queue.remove(again);
    queue.add(again);
    expect(queue.size).toBe(2);
    expect([...queue.heads()].map(({ name }) => name)).toEqual(["f2"]);
    expect([queue.nextFirst()?.name, queue.nextFirst()?.name]).toEqual(["f2", "f1"]);
    // Polled: a repeat from now on.
    again.isFirstPoll = false;
    queue.add(again);
    expect([queue.nextFirst(), repeats(), queue.size, queue.repeatCount]).toEqual([null, ["f1"], 0, 0]);
  });

  test("the heads are the oldest first poll and the oldest entry of each account", () => {
    const a1 = repeat("a", "a1");
    const { queue } = queueOf(a1, repeat("a", "a2"), repeat("b", "b1"), repeat("b", "b2"), first("a", "f1"), first("a", "f2"));
    queue.remove(a1);
    expect([...queue.heads()].map(({ name }) => name)).toEqual(["f1", "a2", "b1"]);
  });

  test("a probe is a call that has answered before, accounts in turn; then any repeat, and a first poll last", () => {
    const { queue } = queueOf(
      first("a", "f1"),
      ...["a1", "a2"].map((name) => repeat("a", name)),
      repeat("b", "b1"),
      repeat("b", "b2", true),
      repeat("b", "b3", true),
      repeat("c", "c1", true),
    );
    const probes = Array.from({ length: 8 }, () => queue.nextProbe()?.name);
    expect(probes).toEqual(["b2", "c1", "b3", "a1", "b1", "a2", "f1", undefined]);
  });

  test("calls that have answered and calls that have not keep one order", () => {
    const { repeats } = queueOf(repeat("a", "a1"), repeat("a", "a2", true), repeat("a", "a3"), repeat("a", "a4", true));
    expect(repeats()).toEqual(["a1", "a2", "a3", "a4"]);
  });

  test("a call that was removed, answered and was added again is taken once", () => {
    const before = { ...repeat("a", "a1"), hasAnswered: false };
    const { queue } = queueOf(before, repeat("a", "a2"));
    queue.remove(before);
    before.hasAnswered = true;
    queue.add(before);
    expect([queue.nextProbe()?.name, queue.nextProbe()?.name, queue.nextProbe()].toSorted()).toEqual(["a1", "a2", null]);
    expect(queue.size).toBe(0);
  });

  test("thousands pass through in the order they came", () => {
    const names = Array.from({ length: 5000 }, (_, index) => `a${index}`);
    const { queue, repeats } = queueOf(...names.slice(0, 3000).map((name, index) => repeat("a", name, index % 3 === 0)));
    const taken = Array.from({ length: 2000 }, () => queue.nextRepeat()?.name);
    for (const [index, name] of names.slice(3000).entries()) queue.add(repeat("a", name, index % 2 === 0));
    expect([...taken, ...repeats()]).toEqual(names);
  });
});

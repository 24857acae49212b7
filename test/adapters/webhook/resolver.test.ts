import { describe, expect, onTestFinished, test } from "vitest";
import { FairSlots, SlotsFull } from "../../../src/adapters/webhook/fair-slots.ts";
import { NameResolver } from "../../../src/adapters/webhook/resolver.ts";
import { startNameServer } from "../../harness/receivers/name-server.ts";
import type { Zone } from "../../harness/receivers/name-server.ts";

async function startResolver(zone: Zone, ttlSeconds: number) {
  const server = await startNameServer(zone, ttlSeconds);
  const time = { nowMs: 0 };
  const resolver = new NameResolver([server.address], () => time.nowMs);
  onTestFinished(() => resolver.close());
  return { resolver, server, time };
}

describe("names", () => {
  test("A and AAAA together, in any case, with or without the last dot", async () => {
    const { resolver, server } = await startResolver(() => ["1.1.1.1", "2606:4700::1111", "8.8.8.8"], 30);
    const expected = [
      { address: "1.1.1.1", family: 4 },
      { address: "8.8.8.8", family: 4 },
      { address: "2606:4700::1111", family: 6 },
    ];
    expect(await resolver.resolve("Crm.Example.com")).toEqual(expected);
    expect(await resolver.resolve("crm.example.com.")).toEqual(expected);
    expect(server.asked).toEqual(["crm.example.com"]);
  });

  test.each([
    ["a TTL of nothing", 0, 5000],
    ["a TTL in between", 20, 20_000],
    ["a TTL of a day", 86_400, 60_000],
  ])("%s is kept 5 to 60 s, and then asked anew", async (_, ttlSeconds, keptMs) => {
    const { resolver, server, time } = await startResolver((_name, question) => [`1.1.1.${question}`], ttlSeconds);
    await resolver.resolve("a.example");
    time.nowMs = keptMs - 1;
    expect(await resolver.resolve("a.example")).toEqual([{ address: "1.1.1.1", family: 4 }]);
    time.nowMs = keptMs;
    expect(await resolver.resolve("a.example")).toEqual([{ address: "1.1.1.2", family: 4 }]);
    expect(server.asked).toHaveLength(2);
  });

  test("many who ask at once make one question", async () => {
    const { resolver, server } = await startResolver(() => ["1.1.1.1"], 30);
    await Promise.all(Array.from({ length: 50 }, () => resolver.resolve("a.example")));
    expect(server.asked).toHaveLength(1);
  });

  test("the hosts file is not read: a name only it knows does not exist", async () => {
    const { resolver } = await startResolver(() => null, 30);
    await expect(resolver.resolve("localhost.localdomain")).rejects.toMatchObject({ code: "ENOTFOUND" });
  });

  test("an account whose name servers are silent holds up nobody else", async () => {
    const { resolver } = await startResolver((name) => (name.endsWith("dead.example") ? "silence" : ["1.1.1.1"]), 30);
    const dead = Array.from({ length: 200 }, (_, index) =>
      resolver.resolve(`${index}.dead.example`, "acc_1").catch((error: unknown) => error),
    );
    expect(await resolver.resolve("fine.example", "acc_2")).toHaveLength(1);
    resolver.close();
    for (const error of await Promise.all(dead)) expect(error).toMatchObject({ name: "DnsFailure", code: "ECANCELLED" });
  });
});

/** Work that ends when the test says so. */
function startWork(slots: FairSlots) {
  const started: string[] = [];
  const ends = new Map<string, () => void>();
  const start = (group: string, name: string): Promise<void> =>
    slots.run(group, async () => {
      started.push(name);
      const { promise, resolve } = Promise.withResolvers<void>();
      ends.set(name, resolve);
      await promise;
    });
  return { started, start, end: (name: string) => ends.get(name)?.() };
}

describe("slots", () => {
  const limits = { total: 3, perGroup: 2, waiting: 4 };

  test("no group has more than its own, none all, and groups that wait take turns", async () => {
    const { started, start, end } = startWork(new FairSlots(limits));
    const a = ["a1", "a2", "a3", "a4"].map((name) => start("a", name));
    const b = ["b1", "b2", "b3"].map((name) => start("b", name));
    expect(started).toEqual(["a1", "a2", "b1"]);
    end("b1");
    await b[0];
    expect(started).toEqual(["a1", "a2", "b1", "b2"]);
    end("a1");
    await a[0];
    end("a2");
    await a[1];
    expect(started).toEqual(["a1", "a2", "b1", "b2", "a3", "b3"]);
    end("b2");
    await b[1];
    expect(started.at(-1)).toBe("a4");
    for (const name of ["a3", "a4", "b3"]) end(name);
    await Promise.all([...a, ...b]);
  });

  test("too many that wait are turned away, and a slot of failed work is free again", async () => {
    const slots = new FairSlots({ total: 1, perGroup: 1, waiting: 0 });
    const { start, end } = startWork(slots);
    const running = start("a", "a1");
    await expect(start("a", "a2")).rejects.toBeInstanceOf(SlotsFull);
    end("a1");
    await running;
    await expect(slots.run("a", () => Promise.reject(new Error("failed")))).rejects.toThrow("failed");
    expect(await slots.run("a", async () => "free")).toBe("free");
  });
});

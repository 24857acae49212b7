import { Resolver } from "node:dns/promises";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { NameResolver } from "../../../src/adapters/http-client/name-resolver.ts";
import type { NameServersOptions } from "../../../src/adapters/http-client/name-servers.ts";
import { SystemFile } from "../../../src/adapters/http-client/system-file.ts";
import { startNameServer } from "../../harness/receivers/name-server.ts";
import type { Zone } from "../../harness/receivers/name-server.ts";

function resolverOf(options: NameServersOptions): NameResolver {
  const resolver = new NameResolver(options);
  onTestFinished(() => resolver.close());
  return resolver;
}

async function startResolver(zone: Zone, ttlSeconds: number) {
  const server = await startNameServer(zone, ttlSeconds);
  const time = { nowMs: 0 };
  return { resolver: resolverOf({ servers: [server.address], monotonicMs: () => time.nowMs }), server, time };
}

async function timed<T>(work: Promise<T>): Promise<{ readonly result: T; readonly ms: number }> {
  const startedMs = performance.now();
  const result = await work;
  return { result, ms: performance.now() - startedMs };
}

const failureOf = (work: Promise<unknown>) => work.catch((error: unknown) => error);
const v4 = { address: "1.1.1.1", family: 4 };
const v6 = { address: "2606:4700::1111", family: 6 };
const both = [v4.address, v6.address];
const swallowsAaaa: Zone = (_name, _n, type) => (type === "A" ? both : "silence");

describe("names", () => {
  test("A and AAAA together, in any case, with or without the last dot", async () => {
    const { resolver, server } = await startResolver(() => ["1.1.1.1", "2606:4700::1111", "8.8.8.8"], 30);
    const expected = [v4, { address: "8.8.8.8", family: 4 }, v6];
    expect(await resolver.resolve("Crm.Example.com")).toEqual(expected);
    expect(await resolver.resolve("crm.example.com.")).toEqual(expected);
    expect(server.asked).toEqual(["crm.example.com"]);
  });

  test.each([
    ["a TTL of nothing", 0, 5000],
    ["a TTL in between", 20, 20_000],
    ["a TTL of a day", 86_400, 60_000],
  ])("%s is kept 5 to 60 s, and then asked for again", async (_, ttlSeconds, keptMs) => {
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
    await expect(resolver.resolve("localhost")).rejects.toMatchObject({ code: "ENOTFOUND" });
    await expect(resolver.resolve("localhost.localdomain")).rejects.toMatchObject({ code: "ENOTFOUND" });
  });

  test("an account whose name servers are silent holds up no other", async () => {
    const { resolver } = await startResolver((name) => (name.endsWith("dead.example") ? "silence" : ["1.1.1.1"]), 30);
    const dead = Array.from({ length: 200 }, (_, index) => failureOf(resolver.resolve(`${index}.dead.example`, "acc_1")));
    expect(await resolver.resolve("fine.example", "acc_2")).toHaveLength(1);
    resolver.close();
    for (const error of await Promise.all(dead)) expect(error).toMatchObject({ name: "DnsFailure" });
  });

  test("a name that waits for the turn of one account is asked at once for another", async () => {
    const { resolver, server } = await startResolver((name) => (name.endsWith("dead.example") ? "silence" : ["1.1.1.1"]), 30);
    const dead = Array.from({ length: 20 }, (_, index) => failureOf(resolver.resolve(`${index}.dead.example`, "acc_1")));
    const waiting = failureOf(resolver.resolve("shared.example", "acc_1"));
    const { result, ms } = await timed(resolver.resolve("shared.example", "acc_2"));
    expect(result).toHaveLength(1);
    expect(ms).toBeLessThan(1000);
    resolver.close();
    await Promise.all([...dead, waiting]);
    expect(server.asked.filter((name) => name === "shared.example")).toHaveLength(1);
  });
});

describe("half an answer", () => {
  test.each<[name: string, zone: Zone, expected: readonly unknown[]]>([
    ["AAAA is swallowed", swallowsAaaa, [v4]],
    ["A is swallowed", (_name, _n, type) => (type === "AAAA" ? both : "silence"), [v6]],
    ["AAAA comes after 3 s", (_name, _n, type) => (type === "A" ? both : { afterMs: 3000, answer: both }), [v4]],
    ["A comes after 600 ms, AAAA never", (_name, _n, type) => (type === "A" ? { afterMs: 600, answer: both } : "silence"), [v4]],
    ["AAAA is a server failure", (_name, _n, type) => (type === "A" ? both : "servfail"), [v4]],
    ["AAAA says that there is no such name", (_name, _n, type) => (type === "A" ? both : null), [v4]],
  ])("%s: what came is used within a second", async (_, zone, expected) => {
    const { resolver } = await startResolver(zone, 30);
    const { result, ms } = await timed(resolver.resolve("half.example"));
    expect(result).toEqual(expected);
    expect(ms).toBeLessThan(1000);
  });

  test("three servers that all swallow AAAA cost no more than one", async () => {
    const servers = await Promise.all([1, 2, 3].map(async () => (await startNameServer(swallowsAaaa)).address));
    const { result, ms } = await timed(resolverOf({ servers }).resolve("half.example"));
    expect(result).toEqual([v4]);
    expect(ms).toBeLessThan(1000);
  });

  test("an answer 20 ms after the first belongs to it", async () => {
    const { resolver } = await startResolver((_name, _n, type) => (type === "A" ? both : { afterMs: 20, answer: both }), 30);
    expect(await resolver.resolve("a.example")).toEqual([v4, v6]);
  });

  test("an answer too late for the first look-up completes it for the next", async () => {
    const { resolver, server } = await startResolver((_name, _n, type) => (type === "A" ? both : { afterMs: 200, answer: both }), 30);
    expect(await resolver.resolve("a.example")).toEqual([v4]);
    await expect.poll(() => resolver.resolve("a.example")).toEqual([v4, v6]);
    expect(server.asked).toEqual(["a.example"]);
  });

  test("an answer without addresses gives the other a second", async () => {
    const { resolver } = await startResolver((name, _n, type) => {
      if (type === "A") return [];
      return name === "slow.example" ? { afterMs: 500, answer: both } : "silence";
    }, 30);
    expect(await resolver.resolve("slow.example")).toEqual([v6]);
    const { result, ms } = await timed(failureOf(resolver.resolve("none.example")));
    expect(result).toMatchObject({ code: "ETIMEOUT" });
    expect(ms).toBeLessThan(1500);
  });

  test("two swallowed questions, three servers: the look-up runs out after 5 s", async () => {
    const servers = await Promise.all([1, 2, 3].map(async () => (await startNameServer(() => "silence")).address));
    const { result, ms } = await timed(failureOf(resolverOf({ servers }).resolve("silent.example")));
    expect(result).toMatchObject({ name: "DnsFailure", code: "ETIMEOUT" });
    expect(ms).toBeGreaterThan(4500);
    expect(ms).toBeLessThan(6000);
  });

  test("a first server that is dead: the second is asked, and from then on before it", async () => {
    const servers = [await startNameServer(() => "silence"), await startNameServer(() => both)];
    const resolver = resolverOf({ servers: servers.map(({ address }) => address) });
    expect(await resolver.resolve("a.example")).toEqual([v4, v6]);
    const { ms } = await timed(resolver.resolve("b.example"));
    expect(ms).toBeLessThan(500);
  });

  test("a swallowed question keeps no slot of its account", async () => {
    const { resolver } = await startResolver(swallowsAaaa, 30);
    const names = Array.from({ length: 40 }, (_, index) => resolver.resolve(`${index}.half.example`, "acc_1"));
    const { ms } = await timed(Promise.all(names));
    expect(ms).toBeLessThan(3000);
  });
});

/** A file in place of resolv.conf, and resolvers that ask whichever server is the system's when they are created. */
function startSystem(first: string) {
  const folder = mkdtempSync(join(tmpdir(), "resolv-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "resolv.conf");
  writeFileSync(path, `nameserver ${first}\n`);
  const system = { server: first, created: 0, nowMs: 0 };
  const createResolver = () => {
    system.created += 1;
    const resolver = new Resolver({ timeout: 100, tries: 1 });
    resolver.setServers([system.server]);
    return resolver;
  };
  const monotonicMs = () => system.nowMs;
  const resolver = resolverOf({ servers: [], monotonicMs, systemFile: new SystemFile(path, monotonicMs), createResolver });
  return { system, resolver, path };
}

describe("servers that change", () => {
  test("another server in the file is asked within a second, though the one before answers", async () => {
    const [before, after] = [await startNameServer(() => ["1.1.1.1"]), await startNameServer(() => ["1.1.1.2"])];
    const { system, resolver, path } = startSystem(before.address);
    expect(await resolver.resolve("a.example")).toMatchObject([{ address: "1.1.1.1" }]);
    system.server = after.address;
    writeFileSync(path, `# another network\nnameserver ${after.address}\n`);
    system.nowMs = 1000;
    expect(await resolver.resolve("b.example")).toMatchObject([{ address: "1.1.1.2" }]);
    expect(system.created).toBe(2);
  });

  test("a file that was not there, or goes away", async () => {
    const server = await startNameServer(() => ["1.1.1.1"]);
    const { system, resolver, path } = startSystem(server.address);
    rmSync(path);
    system.nowMs = 1000;
    expect(await resolver.resolve("a.example")).toHaveLength(1);
    writeFileSync(path, "");
    system.nowMs = 2000;
    expect(await resolver.resolve("b.example")).toHaveLength(1);
    expect(system.created).toBe(3);
  });

  test("the resolver is replaced after 10 s without an answer, and not before", async () => {
    const [dead, alive] = [await startNameServer(() => "silence"), await startNameServer(() => ["1.1.1.1"])];
    const { system, resolver } = startSystem(dead.address);
    system.server = alive.address;
    expect(await failureOf(resolver.resolve("a.example"))).toMatchObject({ code: "ETIMEOUT" });
    system.nowMs = 9999;
    expect(await failureOf(resolver.resolve("a.example"))).toMatchObject({ code: "ETIMEOUT" });
    expect(system.created).toBe(1);
    system.nowMs = 10_000;
    expect(await failureOf(resolver.resolve("a.example"))).toMatchObject({ code: "ETIMEOUT" });
    expect(await resolver.resolve("a.example")).toHaveLength(1);
    expect(system.created).toBe(2);
  });

  test("an answer that there is no such name is no failure", async () => {
    const server = await startNameServer((name) => (name === "none.example" ? null : "servfail"));
    const { system, resolver } = startSystem(server.address);
    system.nowMs = 20_000;
    expect(await failureOf(resolver.resolve("none.example"))).toMatchObject({ code: "ENOTFOUND" });
    expect(await failureOf(resolver.resolve("broken.example"))).toMatchObject({ code: "ESERVFAIL" });
    expect(system.created).toBe(1);
  });

  test("servers of the configuration are not read from the system's file", async () => {
    const server = await startNameServer(() => ["1.1.1.1"]);
    const resolver = resolverOf({
      servers: [server.address],
      createResolver: () => {
        throw new Error("the system was asked");
      },
    });
    expect(await resolver.resolve("a.example")).toHaveLength(1);
  });

  test("questions to the resolver before are answered after its end", async () => {
    const [slow, other] = [await startNameServer(() => ({ afterMs: 60, answer: ["1.1.1.1"] })), await startNameServer(() => ["1.1.1.2"])];
    const { system, resolver, path } = startSystem(slow.address);
    const pending = resolver.resolve("a.example");
    await expect.poll(() => slow.asked).toHaveLength(1);
    system.server = other.address;
    writeFileSync(path, "changed");
    system.nowMs = 1000;
    expect(await resolver.resolve("b.example")).toMatchObject([{ address: "1.1.1.2" }]);
    expect(await pending).toMatchObject([{ address: "1.1.1.1" }]);
  });
});

import { describe, expect, it } from "vitest";
import { filterByNames } from "../../src/domain/events/event-filter.ts";
import type { WatchStatus } from "../../src/domain/calls/watch.ts";
import { answered, expectKind, hour, minute, only } from "../harness/store-drafts.ts";
import type { StoreWorld, WatchWish } from "../harness/store-drafts.ts";
import { worlds } from "./store-backend.ts";
import type { StoreBackend } from "./store-backend.ts";

type Search = { readonly status?: WatchStatus; readonly callSid?: string; readonly limit?: number; readonly cursor?: string | null };

async function search(world: StoreWorld, metadata: Readonly<Record<string, string>>, given: Search = {}) {
  const { id: accountId } = await world.account();
  const query = { status: null, callSid: null, limit: 50, cursor: null, ...given };
  const page = await world.store.listWatchesByMetadata({ accountId, metadata, ...query });
  return { sids: page.data.map(({ watch }) => watch.callSid), nextCursor: page.nextCursor };
}

const sidsOf = async (...args: Parameters<typeof search>) => (await search(...args)).sids;

async function change(world: StoreWorld, watchId: string, patch: Parameters<StoreWorld["store"]["patchWatch"]>[0]["patch"]) {
  return world.store.patchWatch({ accountId: (await world.account()).id, watchId, patch });
}

const north = { metadata: { team: "north", lead: "1" } } satisfies WatchWish;
const south = { metadata: { team: "south" } } satisfies WatchWish;

/** Watches that are found by their metadata, and changed. */
export function watchChangesSuite(backend: StoreBackend): void {
  describe("metadata of watches", () => {
    const open = worlds(backend);

    it("finds watches by every pair, exactly, newest first, with status and call", async () => {
      const world = await open();
      for (const [sid, wish] of [
        ["OUT-1", north],
        ["OUT-2", south],
        ["OUT-3", { metadata: { team: "north", lead: "2" } }],
        ["OUT-4", {}],
      ] as const)
        await world.watch(sid, wish);
      const other = await world.account("other");
      await world.watch("OUT-5", { ...north, accountId: other.id });
      await world.see("OUT-1", "success");
      expect(await sidsOf(world, { team: "north" })).toEqual(["OUT-3", "OUT-1"]);
      expect(await sidsOf(world, { team: "north", lead: "1" })).toEqual(["OUT-1"]);
      expect(await sidsOf(world, { lead: "1", team: "south" })).toEqual([]);
      expect(await sidsOf(world, { team: "North" })).toEqual([]);
      expect(await sidsOf(world, { team: "" })).toEqual([]);
      expect(await sidsOf(world, JSON.parse('{"__proto__":"x"}') as Record<string, string>)).toEqual([]);
      expect(await sidsOf(world, { team: "north" }, { status: "active" })).toEqual(["OUT-3"]);
      expect(await sidsOf(world, { team: "north" }, { status: "completed" })).toEqual(["OUT-1"]);
      expect(await sidsOf(world, { team: "north" }, { callSid: "OUT-3" })).toEqual(["OUT-3"]);
      expect(await sidsOf(world, { team: "north" }, { callSid: "OUT-2" })).toEqual([]);
    });

    it("pages stable under inserts, and past many watches of another status", async () => {
      const world = await open();
      const drafts = await Promise.all(
        Array.from({ length: 700 }, (_, n) => world.watchDraft(`OUT-${n}`, { url: null, ...north, endpoint: {} })),
      );
      await world.hook("https://hooks.example/");
      await world.store.registerWatches(drafts);
      await world.load("OUT-0");
      await world.see("OUT-0", "success");
      await world.load("OUT-3");
      await world.see("OUT-3", "success");
      expect(await sidsOf(world, { team: "north" }, { status: "completed" })).toEqual(["OUT-3", "OUT-0"]);
      const first = await search(world, { team: "north" }, { limit: 2 });
      await world.watch("OUT-new", north);
      const second = await search(world, { team: "north" }, { limit: 2, cursor: first.nextCursor });
      expect([first.sids, second.sids]).toEqual([
        ["OUT-699", "OUT-698"],
        ["OUT-697", "OUT-696"],
      ]);
      const seen: string[] = [];
      for (let cursor: string | null = null; ;) {
        const page = await search(world, { team: "north" }, { limit: 200, cursor });
        seen.push(...page.sids);
        if ((cursor = page.nextCursor) === null) break;
      }
      expect(seen).toEqual(["OUT-new", ...Array.from({ length: 700 }, (_, n) => `OUT-${699 - n}`)]);
    });

    it("shows what running marks have decided", async () => {
      const world = await open({ marks: { threshold: 1, portion: 1 } });
      for (let n = 0; n < 3; n++) await world.watch(`OUT-${n}`, north);
      const job = only((await world.see("OUT-0", "queued")).jobs);
      await world.record(job, answered(410));
      expect(await sidsOf(world, { team: "north" }, { status: "active" })).toEqual([]);
      expect(await sidsOf(world, { team: "north" }, { status: "canceled" })).toEqual(["OUT-2", "OUT-1", "OUT-0"]);
      const { data } = await world.store.listWatches({
        accountId: (await world.account()).id,
        status: "canceled",
        callSid: null,
        limit: 50,
        cursor: null,
      });
      expect(expectKind(await change(world, data[0]?.watch.id ?? "", { metadata: {} }), "ended")).toEqual({ kind: "ended" });
    });

    it("forgets watches that are purged", async () => {
      const world = await open();
      const { view } = await world.watch("OUT-1", north);
      await world.store.removeWatch({ by: null, accountId: view.watch.accountId, watchId: view.watch.id, purge: true, nowMs: world.nowMs });
      expect(await sidsOf(world, { team: "north" })).toEqual([]);
      expect(await change(world, view.watch.id, { metadata: {} })).toEqual({ kind: "unknown" });
    });
  });

  describe("traces of watches", () => {
    const open = worlds(backend);
    const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    it("go with every job of their events, to watch and hook, and with no event", async () => {
      const world = await open();
      await world.hook("https://hooks.example/");
      const { view } = await world.watch("OUT-1", { trace });
      expect(view.watch.trace).toBe(trace);
      await world.watch("OUT-1", { url: "https://second.example/" });
      const { jobs } = await world.see("OUT-1", "queued");
      const traces = jobs.map((job) => [job.target.url, job.trace]).toSorted();
      expect(traces).toEqual([
        ["https://hooks.example/", trace],
        ["https://receiver.example/hook", trace],
        ["https://second.example/", null],
      ]);
      await world.release(jobs);
      expect((await world.claim()).jobs.map((job) => [job.target.url, job.trace]).toSorted()).toEqual(traces);
      const late = await world.watch("OUT-1", { url: "https://late.example/", polledAtMs: world.nowMs, trace });
      expect(late.jobs.map((job) => job.trace)).toEqual([trace]);
      for (const job of jobs) expect(JSON.stringify(job.event)).not.toContain("4bf92f35");
    });
  });

  describe("changes of watches", () => {
    const open = worlds(backend);

    it("hold for events that are written afterwards", async () => {
      const world = await open();
      const { view } = await world.watch("OUT-1", { ...north, events: ["terminal"] });
      expect((await world.see("OUT-1", "queued")).jobs).toEqual([]);
      const patch = { metadata: south.metadata, filter: filterByNames(null) };
      const patched = expectKind(await change(world, view.watch.id, patch), "patched");
      expect(patched.view.watch).toEqual({ ...view.watch, sequence: 1, ...patch });
      expect(await world.store.getWatch(view.watch.accountId, view.watch.id)).toEqual(patched.view);
      const job = only((await world.see("OUT-1", "calling")).jobs);
      expect(job.event.data).toMatchObject({ metadata: { team: "south" }, sequence: 2, previousStatus: "queued" });
      const events = await world.store.listWatchEvents({ accountId: view.watch.accountId, watchId: view.watch.id, limit: 5, cursor: null });
      expect(events?.data.map(({ event }) => event.data.metadata)).toEqual([north.metadata, south.metadata]);
    });

    it("rewrite the index of metadata", async () => {
      const world = await open();
      const { view } = await world.watch("OUT-1", north);
      await change(world, view.watch.id, { metadata: { team: "south", lead: "1" } });
      expect(await sidsOf(world, { team: "north" })).toEqual([]);
      expect(await sidsOf(world, { team: "south", lead: "1" })).toEqual(["OUT-1"]);
      await change(world, view.watch.id, { expiresAtMs: world.nowMs + hour });
      expect(await sidsOf(world, { lead: "1" })).toEqual(["OUT-1"]);
      await change(world, view.watch.id, { metadata: {} });
      expect(await sidsOf(world, { lead: "1" })).toEqual([]);
    });

    it("move the deadline of the call", async () => {
      const world = await open();
      const { view } = await world.watch("OUT-1", { expiresAtMs: world.nowMs + hour });
      const patched = expectKind(await change(world, view.watch.id, { expiresAtMs: world.nowMs + minute }), "patched");
      expect(patched).toMatchObject({ callId: view.watch.callId, call: { earliestDeadlineAtMs: world.nowMs + minute } });
      world.pass(2 * minute);
      const { notices } = await world.commit("OUT-1", [{ kind: "expire" }], { confirmed: false });
      expect(notices.map(({ eventType }) => eventType)).toEqual(["watch.expired"]);
    });

    it("are refused for a watch that has ended, and for one of another account", async () => {
      const world = await open();
      const { view } = await world.watch("OUT-1", north);
      const other = await world.account("other");
      const request = { watchId: view.watch.id, patch: { metadata: {} } };
      expect(await world.store.patchWatch({ accountId: other.id, ...request })).toEqual({ kind: "unknown" });
      await world.see("OUT-1", "success");
      expect(await world.store.patchWatch({ accountId: view.watch.accountId, ...request })).toEqual({ kind: "ended" });
      expect(await sidsOf(world, { team: "north" })).toEqual(["OUT-1"]);
    });

    it("are refused for a watch that a running mark of its call has ended", async () => {
      const world = await open({ marks: { threshold: 1, portion: 1 } });
      for (let n = 0; n < 3; n++) await world.watch("OUT-1", { url: `https://receiver${n}.example/`, ...north });
      const committed = await world.see("OUT-1", "success");
      expect(committed.call).toMatchObject({ isUnfinished: true });
      expect(await sidsOf(world, { team: "north" }, { status: "active" })).toEqual([]);
      expect(await sidsOf(world, { team: "north" }, { status: "completed" })).toHaveLength(3);
      const { id: accountId } = await world.account();
      const { data } = await world.store.listWatchesByMetadata({
        accountId,
        metadata: north.metadata,
        status: null,
        callSid: null,
        limit: 5,
        cursor: null,
      });
      for (const { watch } of data) expect(await change(world, watch.id, { metadata: {} })).toEqual({ kind: "ended" });
    });
  });
}

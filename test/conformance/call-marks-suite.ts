import { describe, expect, it } from "vitest";
import type { Watch } from "../../src/domain/calls/watch.ts";
import type { CallChange } from "../../src/domain/calls/call.ts";
import type { EventView } from "../../src/ports/stores/read-store.ts";
import type { SendJob } from "../../src/ports/stores/send-job.ts";
import { expectCountersRight } from "../harness/counters.ts";
import { answered, expectKind, hour, minute, noQuotas, only, second, statusChange } from "../harness/store-drafts.ts";
import type { StoreWorld, WatchWish } from "../harness/store-drafts.ts";
import { worlds } from "./store-backend.ts";
import type { OpenWorld, StoreBackend } from "./store-backend.ts";

const watchesPerTransaction = 3;
const hookUrl = "https://hooks.example/all";
const lost: CallChange = { kind: "end", endReason: "lost", spares: null };

/** Calls with more watches than one transaction writes: their transitions are a mark, and portions behind it. */
export function callMarksSuite(backend: StoreBackend): void {
  describe("transitions of many watches", () => {
    const create = worlds(backend);
    const open = () => create({ marks: { threshold: watchesPerTransaction, portion: watchesPerTransaction } });

    it("are written in portions, by account and id, each event once and in order", async () => {
      const world = await open();
      const watches = await crowd(world, 4, 4);
      const first = await world.see("OUT-1", "queued");
      expect(first).toMatchObject({ jobs: [], notices: [], call: { isUnfinished: true, version: 2, status: { status: "queued" } } });
      const portions = await finish(world);
      expect(portions.map(({ notices }) => notices.length)).toEqual([3, 3, 2]);
      expect(portions.flatMap(({ jobs }) => jobs)).toHaveLength(8);
      expect(portions.flatMap(({ notices }) => notices.map(({ watchId }) => watchId))).toEqual(watches.map(({ id }) => id));
      await expectEvents(world, watches, ["call.queued"]);
      for (const job of portions.flatMap(({ jobs }) => jobs)) await world.record(job);
      await world.see("OUT-1", "success");
      await finish(world);
      await expectEvents(world, watches, ["call.queued", "call.success"]);
      expect(await world.store.loadWatchedCalls({ afterCallId: null, limit: 10 })).toEqual([]);
    });

    it("are one transaction up to the limit", async () => {
      const world = await open();
      await crowd(world, 3, 0);
      expect(await world.see("OUT-1", "queued")).toMatchObject({ call: { isUnfinished: false }, notices: [{}, {}, {}] });
    });

    it.each(["success", "lost", "expired"] as const)("end every watch at once (%s), and send the events with the portions", async (end) => {
      const world = await open();
      const watches = await crowd(world, 7, 1, { expiresAtMs: world.nowMs + hour });
      const [{ accountId }] = watches;
      await world.see("OUT-1", "calling");
      for (const { jobs } of await finish(world)) for (const job of jobs) await world.record(job);
      const endedAtMs = world.pass(hour);
      if (end === "success") await world.see("OUT-1", "success");
      else await world.commit("OUT-1", [end === "lost" ? lost : { kind: "expire" }], { confirmed: false });
      const status = end === "success" ? "completed" : "ended";
      const quotas = { ...noQuotas, maxActiveWatches: 1, maxWatchesPerCall: 1 };
      for (let written = 0; ;) {
        world.pass(second);
        for (const watch of watches)
          expect((await world.store.getWatch(watch.accountId, watch.id))?.watch).toMatchObject({
            status,
            endReason: end === "success" ? null : end,
            endedAtMs,
          });
        const mine = watches.filter((watch) => watch.accountId === accountId).map(({ id }) => id);
        expect(await listed(world, accountId, "active")).toEqual([]);
        expect(await listed(world, accountId, status)).toEqual(mine.toReversed());
        expect(await listed(world, accountId, null)).toEqual(mine.toReversed());
        expect(await listed(world, accountId, status, "OUT-1")).toEqual(mine.toReversed());
        expect(await listed(world, accountId, "canceled")).toEqual([]);
        expect((await feedOf(world, accountId)).length + (await feedOf(world, watches.at(-1)?.accountId ?? "")).length).toBe(8 + written);
        // Quotas count what is left: the account has no active watch, and one on another call fits.
        const probe = await world.watch(`OUT-probe-${written}`, { accountId, quotas });
        await world.store.removeWatch({ by: null, accountId, watchId: probe.view.watch.id, purge: true, nowMs: world.nowMs });
        const repeat = await world.register("OUT-1", { accountId, url: "https://r0.example/", quotas });
        expect(repeat.kind).toBe(end === "success" ? "existing" : "created");
        if (repeat.kind === "created")
          await world.store.removeWatch({ by: null, accountId, watchId: repeat.view.watch.id, purge: true, nowMs: world.nowMs });
        const { call } = await world.load("OUT-1").then(
          () => world.portion("OUT-1"),
          () => ({ call: null }),
        );
        written = Math.min(8, written + watchesPerTransaction);
        if (call?.isUnfinished !== true) break;
      }
      await expectEvents(world, watches, ["call.calling", end === "success" ? "call.success" : `watch.${end}`]);
    });

    it("go on after a crash between any two portions", async () => {
      const world = await open();
      const watches = await crowd(world, 5, 3);
      const jobs: SendJob[] = [];
      for (const status of ["calling", "success"]) {
        await world.see("OUT-1", status);
        for (;;) {
          if (backend.durable) await world.restart();
          const before = await world.load("OUT-1");
          expect(before).toMatchObject({ isUnfinished: true, status: { status } });
          const { call, jobs: made } = await world.portion("OUT-1");
          jobs.push(...made);
          if (call?.isUnfinished !== true) break;
        }
        for (const job of jobs.splice(0)) await world.attempt(job);
        await world.drain();
      }
      await expectEvents(world, watches, ["call.calling", "call.success"]);
    });

    it.each([
      ["a transition", [statusChange("success")]],
      ["an ending", [lost]],
    ] as const)("refuse %s before all portions are written, and chain it behind", async (_, changes) => {
      const world = await open();
      const watches = await crowd(world, 8, 0);
      await world.see("OUT-1", "calling");
      for (;;) {
        const refused = await world.store.commitCall(world.commitOf("OUT-1", changes));
        expect(refused).toMatchObject({ kind: "stale", call: { isUnfinished: true, status: { status: "calling" } } });
        if ((await world.portion("OUT-1")).call?.isUnfinished !== true) break;
      }
      await world.commit("OUT-1", changes, { confirmed: false });
      await finish(world);
      const events = await expectEvents(world, watches, ["call.calling", changes[0].kind === "end" ? "watch.lost" : "call.success"]);
      expect(events.map(({ event }) => event.data).filter((data) => "previousStatus" in data && data.sequence === 2)).toHaveLength(8);
      for (const { event } of events)
        if ("previousStatus" in event.data) expect(event.data.previousStatus).toBe(event.data.sequence === 1 ? null : "calling");
    });

    it("refuse a portion of another version, and of a call without one", async () => {
      const world = await open();
      await crowd(world, 4, 0);
      const { callId, accountId, version } = world.call("OUT-1");
      const request = { callId, accountId, expectedVersion: version, nowMs: world.nowMs };
      expect(await world.store.commitPortion(request)).toMatchObject({ kind: "stale", call: { isUnfinished: false, version } });
      await world.see("OUT-1", "calling");
      expect(await world.store.commitPortion(request)).toMatchObject({ kind: "stale", call: { isUnfinished: true, version: version + 1 } });
      expect(await world.store.commitPortion({ ...request, callId: "call_unknown" })).toEqual({ kind: "stale", call: null });
      await finish(world);
    });

    it.each([0, 1, 2])("serve a watch that is registered after portion %i with the new status, once", async (after) => {
      const world = await open();
      // Its id is older than those of the mark's watches, because its request waited.
      const early = await world.watchDraft("OUT-1", { url: "https://early.example/" });
      const watches = await crowd(world, 8, 0);
      await world.see("OUT-1", "queued");
      for (let portion = 0; portion < after; portion++) await world.portion("OUT-1");
      const late = await world.watchDraft("OUT-1", { url: "https://late.example/" });
      const made = (await world.store.registerWatches([early, late])).map((result) => expectKind(result, "created"));
      expect(made.map(({ jobs }) => only(jobs).event)).toMatchObject([
        { type: "call.queued", data: { sequence: 1 } },
        { type: "call.queued", data: { sequence: 1 } },
      ]);
      expect(made[0]?.call).toMatchObject({ isUnfinished: true });
      await finish(world);
      await expectEvents(world, [...watches, ...made.map(({ view }) => view.watch)], ["call.queued"]);
      await world.see("OUT-1", "success");
      await finish(world);
      await expectEvents(world, [...watches, ...made.map(({ view }) => view.watch)], ["call.queued", "call.success"]);
    });

    it("keep a watch that is registered while the others end", async () => {
      const world = await open();
      const early = await world.watchDraft("OUT-1", { url: "https://early.example/" });
      const watches = await crowd(world, 7, 0);
      await world.commit("OUT-1", [{ kind: "end", endReason: "not_found", spares: null }], { confirmed: false, lastGoodPollAtMs: null });
      await world.portion("OUT-1");
      const [registered] = await world.store.registerWatches([{ ...early, quotas: { ...noQuotas, maxWatchesPerCall: 1 } }]);
      if (registered === undefined) throw new Error("one draft has one result");
      const { watch } = expectKind(registered, "created").view;
      expect(watch).toMatchObject({ status: "active", sequence: 0 });
      expect(await listed(world, watch.accountId, "active")).toEqual([watch.id]);
      const second = await world.register("OUT-1", { url: "https://second.example/", quotas: { ...noQuotas, maxWatchesPerCall: 1 } });
      expect(second).toMatchObject({ kind: "quota_exceeded", quota: "maxWatchesPerCall", limit: 1 });
      const portions = await finish(world);
      expect(portions.at(-1)?.call).toMatchObject({
        isUnfinished: false,
        accountId: watch.accountId,
        earliestDeadlineAtMs: watch.expiresAtMs,
      });
      await expectEvents(world, watches, ["watch.not_found"]);
      await world.see("OUT-1", "queued");
      await expectEvents(world, [watch], ["call.queued"]);
    });

    it("complete a watch at once that is registered while the others complete", async () => {
      const world = await open();
      await crowd(world, 7, 0);
      await world.see("OUT-1", "success");
      await world.portion("OUT-1");
      const { view, jobs } = await world.watch("OUT-1", { url: "https://late.example/" });
      expect(view.watch).toMatchObject({ status: "completed", sequence: 1 });
      expect(only(jobs).event.type).toBe("call.success");
      await world.load("OUT-1");
      await finish(world);
      await expectEvents(world, [view.watch], ["call.success"]);
    });

    it.each([false, true])("skip a watch that is deleted before its portion (purged: %s)", async (purge) => {
      const world = await open();
      const watches = await crowd(world, 8, 0);
      await world.see("OUT-1", "queued");
      await world.portion("OUT-1");
      const [deleted, kept] = [watches.at(-1), watches.slice(0, -1)];
      if (deleted === undefined) throw new Error("eight watches were made");
      const removal = { by: null, accountId: deleted.accountId, watchId: deleted.id, purge, nowMs: world.nowMs };
      expect(await world.store.removeWatch(removal)).toMatchObject({ kind: "removed", notices: [{ eventType: "watch.canceled" }] });
      await finish(world);
      await expectEvents(world, kept, ["call.queued"]);
      expect((await world.store.getWatch(deleted.accountId, deleted.id))?.watch.status).toBe(purge ? undefined : "canceled");
    });

    it("leave an ended watch as it is when it is deleted before its portion: its event comes, and nothing is sent", async () => {
      const world = await open();
      const watches = await crowd(world, 8, 0);
      await world.see("OUT-1", "success");
      const deleted = watches.at(-1) ?? only([]);
      const removal = { by: null, accountId: deleted.accountId, watchId: deleted.id, purge: false, nowMs: world.nowMs };
      expect(await world.store.removeWatch(removal)).toMatchObject({ notices: [{ eventType: "call.success", sequence: 1 }] });
      expect((await world.store.getWatch(deleted.accountId, deleted.id))?.watch).toMatchObject({ status: "completed", sequence: 1 });
      expect((await eventsOf(world, deleted)).map(({ deliveries }) => deliveries)).toEqual([[]]);
      await world.load("OUT-1");
      await finish(world);
      await expectEvents(world, watches, ["call.success"]);
    });

    it.each([
      ["at once", 0],
      ["by a mark", 5],
    ] as const)("stay as they ended if their endpoint answers 410 before their portion (%s)", async (_, others) => {
      const world = await open();
      const watches = await crowd(world, 8, 0);
      const last = watches.at(-1) ?? only([]);
      const gone = await gonesOf(world, others);
      await world.see("OUT-1", "success");
      await world.portion("OUT-1");
      expect((await world.record(gone.job, answered(410))).endpointChange).toBe("disabled_gone");
      const completed = watches.map(({ id }) => id).toReversed();
      const canceled = gone.watches.toReversed();
      for (let isUnfinished = true; isUnfinished;) {
        expect((await world.store.getWatch(last.accountId, last.id))?.watch).toMatchObject({ status: "completed", endReason: null });
        expect(await listed(world, last.accountId, "completed")).toEqual(completed);
        expect(await listed(world, last.accountId, "canceled")).toEqual(canceled);
        expect((await world.register("OUT-1", { url: goneUrl })).kind).toBe("existing");
        await world.load("OUT-1");
        await world.store.sweepMark({ accountId: last.accountId, nowMs: world.nowMs });
        isUnfinished = (await world.portion("OUT-1")).call?.isUnfinished ?? false;
      }
      await sweepAll(world, last.accountId);
      expect(await listed(world, last.accountId, "completed")).toEqual(completed);
      expect(await listed(world, last.accountId, "canceled")).toEqual(canceled);
      await expectEvents(world, watches, ["call.success"]);
      // Nothing is sent to an endpoint that answered 410 meanwhile.
      expect((await eventsOf(world, last)).map(({ deliveries }) => deliveries)).toEqual([[]]);
      await expectCountersRight(world.store);
    });

    it("leave a watch canceled whose endpoint answered 410 before they ended", async () => {
      const world = await open();
      const watches = await crowd(world, 8, 0);
      const last = watches.at(-1) ?? only([]);
      const gone = await gonesOf(world, 5);
      await world.record(gone.job, answered(410));
      await world.see("OUT-1", "success");
      const canceled = [...gone.watches, last.id].toSorted().toReversed();
      for (let isUnfinished = true; isUnfinished;) {
        expect((await world.store.getWatch(last.accountId, last.id))?.watch).toMatchObject({ status: "canceled", endReason: "gone" });
        expect(await listed(world, last.accountId, "canceled")).toEqual(canceled);
        isUnfinished = (await world.portion("OUT-1")).call?.isUnfinished ?? false;
      }
      await sweepAll(world, last.accountId);
      expect(await listed(world, last.accountId, "canceled")).toEqual(canceled);
      await expectEvents(world, watches.slice(0, -1), ["call.success"]);
      await expectEvents(world, [last], []);
      await expectCountersRight(world.store);
    });

    it("send a hook each transition once, through the oldest watch of its account", async () => {
      const world = await open();
      const [, other] = [await world.account(), await world.account("second")];
      await world.hook(hookUrl);
      await world.hook("https://hooks.example/other", { accountId: other.id });
      const watches = await crowd(world, 5, 5, { url: null });
      const [oldest, next] = watches;
      const oldestOfOther = watches.find(({ accountId }) => accountId === other.id);
      for (const status of ["queued", "calling"]) {
        await world.see("OUT-1", status);
        const jobs: SendJob[] = [];
        for (let isUnfinished = true; isUnfinished;) {
          if (backend.durable) await world.restart();
          await world.load("OUT-1");
          const portion = await world.portion("OUT-1");
          jobs.push(...portion.jobs);
          isUnfinished = portion.call?.isUnfinished ?? false;
          for (const job of portion.jobs) await world.record(job);
        }
        expect(jobs.map(({ event }) => event.data)).toMatchObject([{ watchId: oldest?.id }, { watchId: oldestOfOther?.id }]);
      }
      // With the oldest gone before its portion, the next takes over.
      await world.see("OUT-1", "success");
      await world.store.removeWatch({
        by: null,
        accountId: oldest?.accountId ?? "",
        watchId: oldest?.id ?? "",
        purge: false,
        nowMs: world.nowMs,
      });
      await world.load("OUT-1");
      const sent = (await finish(world)).flatMap(({ jobs }) => jobs);
      expect(sent.map(({ event }) => event.data)).toMatchObject([{ watchId: next?.id }, { watchId: oldestOfOther?.id }]);
    });

    it("send a hook the end of its account's watches once, and not while one of them goes on", async () => {
      const world = await open();
      const [, other] = [await world.account(), await world.account("second")];
      await world.hook(hookUrl);
      await world.hook("https://hooks.example/other", { accountId: other.id });
      const expiresAtMs = world.nowMs + minute;
      const watches = await crowd(world, 5, 5, { url: null, expiresAtMs });
      const survivor = await world.watch("OUT-1", { url: "https://survivor.example/" });
      world.pass(minute);
      const { call } = await world.commit("OUT-1", [{ kind: "expire" }], { confirmed: false, lastGoodPollAtMs: null });
      expect(call).toMatchObject({ isUnfinished: true });
      const portions = await finish(world);
      const sent = portions.flatMap(({ jobs }) => jobs).filter(({ target }) => target.url.startsWith("https://hooks.example/"));
      expect(sent.map(({ event }) => event)).toMatchObject([
        { type: "watch.expired", accountId: other.id, data: { watchId: watches.find(({ accountId }) => accountId === other.id)?.id } },
      ]);
      await expectEvents(world, watches, ["watch.expired"]);
      expect(portions.at(-1)?.call).toMatchObject({ isUnfinished: false, earliestDeadlineAtMs: survivor.view.watch.expiresAtMs });
      expect((await world.see("OUT-1", "queued")).jobs.map(({ target }) => target.url).toSorted()).toEqual([
        hookUrl,
        "https://survivor.example/",
      ]);
    });

    it("are one transaction if they concern few of many watches", async () => {
      const world = await open();
      await world.hook(hookUrl);
      const watches = await crowd(world, 8, 0, { url: null });
      const due = await world.watch("OUT-1", { url: "https://due.example/", expiresAtMs: world.nowMs + minute });
      world.pass(minute);
      const { call, jobs } = await world.commit("OUT-1", [{ kind: "expire" }], { confirmed: false, lastGoodPollAtMs: null });
      expect(only(jobs)).toMatchObject({ target: { url: "https://due.example/" }, event: { type: "watch.expired" } });
      expect(call).toMatchObject({ isUnfinished: false, earliestDeadlineAtMs: watches[0]?.expiresAtMs, needsFirstEvent: false });
      expect((await world.store.getWatch(due.view.watch.accountId, due.view.watch.id))?.watch).toMatchObject({ endReason: "expired" });
      await world.see("OUT-1", "queued");
      await finish(world);
      // Registered while the status is not current: the next good poll notifies it alone.
      world.pass(2 * minute);
      const late = await world.watch("OUT-1", { url: "https://late.example/" });
      expect(late.call).toMatchObject({ needsFirstEvent: true });
      // A hook that is made after the transition is not sent it: the oldest watch was the one that hooks were sent.
      await world.hook("https://hooks.example/late");
      const confirmed = await world.commit("OUT-1", []);
      expect(only(confirmed.jobs).event).toMatchObject({ type: "call.queued", data: { watchId: late.view.watch.id, sequence: 1 } });
      expect(confirmed.call).toMatchObject({ isUnfinished: false, needsFirstEvent: false });
    });

    it("spare the watches whose grace is not over", async () => {
      const world = await open();
      const old = await crowd(world, 5, 0);
      world.pass(20 * second);
      const young = await crowd(world, 4, 0, { urls: "young" });
      world.pass(10 * second);
      const spares = { afterMs: world.nowMs - 30 * second, untilMs: world.nowMs };
      await world.commit("OUT-1", [{ kind: "end", endReason: "not_found", spares }], { confirmed: false, lastGoodPollAtMs: null });
      const [{ accountId }] = old;
      for (let isUnfinished = true; isUnfinished;) {
        expect(await listed(world, accountId, "active")).toEqual(young.map(({ id }) => id).toReversed());
        expect(await listed(world, accountId, "ended")).toEqual(old.map(({ id }) => id).toReversed());
        isUnfinished = (await world.portion("OUT-1")).call?.isUnfinished ?? false;
      }
      await expectEvents(world, old, ["watch.not_found"]);
      await expectEvents(world, young, []);
      expect(world.call("OUT-1")).toMatchObject({ oldestWatchAtMs: young[0].createdAtMs, youngestWatchAtMs: young[0].createdAtMs });
    });

    it.runIf(backend.shared)("are refused to an instance that is taken for dead; the next owner of the call goes on", async () => {
      const world = await open();
      const dead = await world.beside();
      const watches = await crowd(dead, 8, 0);
      await dead.see("OUT-1", "queued");
      const { jobs } = await dead.portion("OUT-1");
      const { callId, accountId, version } = dead.call("OUT-1");
      const request = { callId, accountId, expectedVersion: version, nowMs: world.nowMs };
      // The other instance does not own the call.
      expect(await world.store.commitPortion(request)).toEqual({ kind: "stale", call: null });
      await dead.evict();
      expect(await dead.store.commitPortion(request)).toEqual({ kind: "stale", call: null });
      await world.watch("OUT-1", { url: "https://taken-over.example/" });
      expect(await world.load("OUT-1")).toMatchObject({ isUnfinished: true, version });
      await finish(world);
      await expectEvents(world, watches, ["call.queued"]);
      for (const job of jobs) expect(await dead.attempt(job)).toEqual({ kind: "fenced" });
    });
  });
}

type CrowdWish = Omit<WatchWish, "url"> & { readonly url?: null; readonly urls?: string };

/** Registers watches of one call with a URL each, of the account `default` and of another, in turn. Returns them by account and id. */
async function crowd(
  world: StoreWorld,
  own: number,
  others: number,
  { urls = "r", url, ...wish }: CrowdWish = {},
): Promise<[Watch, ...Watch[]]> {
  const [account, other] = [await world.account(), await world.account("second")];
  if (url === null && others > 0) await world.hook("https://unused.example/", { accountId: other.id, events: ["call.other"] });
  if (url === null) await world.hook("https://unused.example/", { events: ["call.other"] });
  const watches: Watch[] = [];
  for (let n = 0; n < Math.max(own, others); n++)
    for (const [accountId, count] of [
      [account.id, own],
      [other.id, others],
    ] as const) {
      // An account has one watch of a call without a URL.
      const wanted = url === null && n === 0 ? null : `https://${urls}${n}.example/`;
      const events = url === null ? ["call.other"] : null;
      if (n < count) watches.push((await world.watch("OUT-1", { accountId, url: wanted, events, ...wish })).view.watch);
    }
  const [first, ...rest] = watches.toSorted((a, b) => Number(a.accountId !== account.id) - Number(b.accountId !== account.id));
  if (first === undefined) throw new Error("a crowd has at least one watch");
  return [first, ...rest];
}

/** URL of the last watch of a crowd of eight. */
const goneUrl = "https://r7.example/";

/** Registers watches of other calls for `goneUrl`, one call more than `others`. Returns them, and a job of the endpoint. */
async function gonesOf(world: StoreWorld, others: number) {
  const watches: string[] = [];
  for (let n = 0; n <= others; n++) watches.push((await world.watch(`OUT-gone-${n}`, { url: goneUrl })).view.watch.id);
  return { watches, job: only((await world.see("OUT-gone-0", "queued")).jobs) };
}

async function sweepAll(world: StoreWorld, accountId: string): Promise<void> {
  while ((await world.store.sweepMark({ accountId, nowMs: world.nowMs })).kind === "swept");
}

/** Writes the portions that are left. */
async function finish(world: StoreWorld) {
  const portions = [];
  for (;;) {
    const portion = await world.portion("OUT-1");
    portions.push(portion);
    if (portion.call?.isUnfinished !== true) return portions;
  }
}

async function eventsOf(world: StoreWorld, { accountId, id }: Watch): Promise<readonly EventView[]> {
  return (await world.store.listWatchEvents({ accountId, watchId: id, limit: 50, cursor: null }))?.data ?? [];
}

/** Expects these events of each watch, with a sequence from 1 without a gap, and the same in the feed. */
async function expectEvents(world: OpenWorld, watches: readonly Watch[], types: readonly string[]): Promise<readonly EventView[]> {
  const all: EventView[] = [];
  for (const watch of watches) {
    const events = await eventsOf(world, watch);
    expect(events.map(({ event }) => event.type)).toEqual(types);
    expect(events.map(({ event }) => ("sequence" in event.data ? event.data.sequence : null))).toEqual(types.map((_, index) => index + 1));
    all.push(...events);
  }
  const accounts = new Set(watches.map(({ accountId }) => accountId));
  const shown = new Set<string>();
  for (const accountId of accounts) for (const id of await feedOf(world, accountId)) shown.add(id);
  expect(all.filter(({ event }) => !shown.has(event.id))).toEqual([]);
  return all;
}

async function feedOf(world: StoreWorld, accountId: string): Promise<readonly string[]> {
  const ids: string[] = [];
  for (let cursor: string | null = null; ;) {
    const page: Awaited<ReturnType<StoreWorld["store"]["readFeed"]>> = await world.store.readFeed({
      accountId,
      limit: 3,
      cursor,
      sinceMs: null,
      callSid: null,
      types: null,
      orTerminal: false,
    });
    ids.push(...page.data.map(({ event }) => event.id));
    if (page.data.length < 3) return ids;
    cursor = page.nextCursor;
  }
}

/** Reads the pages of a list, newest first. */
async function listed(world: StoreWorld, accountId: string, status: Watch["status"] | null, callSid: string | null = null) {
  const ids: string[] = [];
  for (let cursor: string | null = null; ;) {
    const page: Awaited<ReturnType<StoreWorld["store"]["listWatches"]>> = await world.store.listWatches({
      accountId,
      status,
      callSid,
      limit: 2,
      cursor,
    });
    ids.push(...page.data.map(({ watch }) => watch.id));
    if (page.nextCursor === null) return ids;
    cursor = page.nextCursor;
  }
}

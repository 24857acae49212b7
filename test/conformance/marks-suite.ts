import { describe, expect, it } from "vitest";
import { deliveryStatuses } from "../../src/domain/deliveries/delivery.ts";
import { watchStatuses } from "../../src/domain/calls/watch.ts";
import type { MarkKind } from "../../src/domain/deliveries/marks.ts";
import type { SendJob } from "../../src/ports/stores/send-job.ts";
import { answered, hour, noQuotas, ok, only, second, statusChange } from "../harness/store-drafts.ts";
import { worlds } from "./store-backend.ts";
import type { OpenWorld, StoreBackend } from "./store-backend.ts";

const receiver = "https://receiver.example/hook";
const other = "https://other.example/hook";
const broken = { kind: "failed", code: "reset", detail: "", statusCode: null, permanent: false } as const;
const watchCount = 12;
/** More portions than any scenario has. */
const maxPortions = 200;

/** Steps of a scenario; each runs in both worlds, which differ in their ids alone. */
type Step = (world: OpenWorld) => Promise<unknown>;

/**
 * What a store does with a mark must look as if it had done all of it at once. So each scenario runs in two worlds: in one
 * everything is one transaction, in the other more than five rows need a mark that is carried out by three or seven rows. All reads
 * of both are compared after each step and after each portion.
 */
export function marksSuite(backend: StoreBackend): void {
  // Each scenario makes hundreds of reads of two databases.
  describe("marks", { timeout: 120_000 }, () => {
    const open = worlds(backend);
    // Every boundary in memory, where a read is cheap; about half of them where it is not.
    const portion = backend.durable ? 7 : 3;
    // The statements of an SQLite file are those of a database in memory, which runs both.
    const portionsBetween = backend.durable && !backend.shared ? [1] : [0, 1];

    /** Runs a scenario. `betweenSteps` portions run after each step, and all that are left after the last one. */
    async function expectAsAtOnce(
      steps: readonly Step[],
      betweenSteps: number,
      given: { readonly everyPortion?: Step; readonly isCounted?: boolean } = {},
    ): Promise<readonly MarkKind[]> {
      const { everyPortion, isCounted = true } = given;
      const atOnce = await open({ marks: { threshold: 1_000_000, portion: 1_000_000 } });
      const marked = await open({ marks: { threshold: 5, portion } });
      const kinds: MarkKind[] = [];
      for (const [index, step] of steps.entries()) {
        for (const world of [atOnce, marked]) await step(world);
        const expected = await show(atOnce);
        await expectShown(marked, expected, isCounted);
        const most = index === steps.length - 1 ? maxPortions : betweenSteps;
        for (let portions = 0; portions < most; portions++) {
          const portion = await marked.store.sweepMark({ accountId: (await marked.account()).id, nowMs: marked.nowMs });
          if (portion.kind === "nothing") break;
          kinds.push(portion.markKind);
          await everyPortion?.(marked);
          await expectShown(marked, expected, isCounted);
          await marked.expectCountersRight();
        }
      }
      expect(await marked.store.listMarkedAccounts(10)).toEqual([]);
      await expectShown(marked, await show(atOnce), true);
      return [...new Set(kinds)];
    }

    // How many rows these change is not known when they are set, so the counters follow portion by portion.
    const byPortion = { isCounted: false };

    it("end watches and deliveries after a 410", async () => {
      expect(await expectAsAtOnce([fill, gone], 0)).toEqual(["gone_deliveries", "gone_watches"]);
    });

    it("outlive the end of the process between two portions", async () => {
      if (!backend.durable) return;
      expect(await expectAsAtOnce([fill, gone], 0, { everyPortion: (world) => world.restart() })).toEqual([
        "gone_deliveries",
        "gone_watches",
      ]);
    });

    it("requeue what is pending when an endpoint is enabled", async () => {
      expect(await expectAsAtOnce([fill, patch("disabled"), later, patch("enabled")], 1)).toEqual(["enabled"]);
    });

    it("make deferred deliveries due when a pause ends", async () => {
      expect(await expectAsAtOnce([fill, defer, soon, patch("enabled")], 1)).toEqual(["resumed"]);
    });

    it("requeue what failed in the span of a recovery, and make due what waits", async () => {
      expect(await expectAsAtOnce([fill, recover], 1, byPortion)).toEqual(["recovered"]);
    });

    it("cancel what a removed hook alone asked for", async () => {
      expect(await expectAsAtOnce([fillHooks, unhook], 0, byPortion)).toEqual(["unhooked"]);
    });

    it("cancel what is pending for a deleted watch", async () => {
      expect(await expectAsAtOnce([fillLane, removeWatch(false)], 0, byPortion)).toEqual(["watch_deleted"]);
    });

    it("delete a purged watch with its events", async () => {
      expect(await expectAsAtOnce([fillLane, removeWatch(true), watchAgain("OUT-0", receiver)], 1, byPortion)).toEqual(["watch_purged"]);
    });

    it("delete a watch that was deleted before", async () => {
      const kinds = await expectAsAtOnce([fillLane, removeWatch(false), removeWatch(true)], 1, byPortion);
      expect(kinds).toEqual(["watch_deleted", "watch_purged"]);
    });

    it("leave alone what is registered after a 410", async () => {
      await expectAsAtOnce([fill, gone, watchAgain("OUT-1", receiver), watchAgain("OUT-new", receiver), seeNew], 1);
    });

    it("leave alone what is made after an endpoint was enabled", async () => {
      await expectAsAtOnce([fill, patch("disabled"), later, patch("enabled"), watchAgain("OUT-new", receiver), seeNew], 1);
    });

    it("leave alone a watch whose id is older than they are", async () => {
      const drafts = new Map<OpenWorld, Awaited<ReturnType<OpenWorld["watchDraft"]>>>();
      const draft: Step = async (world) => drafts.set(world, await world.watchDraft("OUT-old", { url: receiver }));
      const register: Step = async (world) => {
        const given = drafts.get(world);
        if (given !== undefined) await world.store.registerWatches([given]);
      };
      // The youngest watch of the endpoint has a newer id than the one that is registered after the 410.
      await expectAsAtOnce([fill, draft, (world) => world.watch("OUT-youngest", { url: receiver }), gone, register], 1);
    });

    const oneAfterTheOther: readonly (readonly [string, readonly Step[], object])[] = [
      ["enabled after a 410", [fill, gone, patch("enabled")], {}],
      ["recovered after enabled", [fill, patch("disabled"), later, patch("enabled"), recover], byPortion],
      ["disabled and enabled after recovered", [fill, recover, patch("disabled"), later, patch("enabled")], byPortion],
      ["unhooked after recovered", [fillHooks, failAll, recover, unhook], byPortion],
      ["a 410 after recovered", [fill, recover, gone], byPortion],
    ];
    it.each(oneAfterTheOther)("follow each other in the order in which they were set: %s", async (_, steps, given) => {
      for (const between of portionsBetween) await expectAsAtOnce(steps, between, given);
    });

    const meanwhile: readonly (readonly [string, readonly Step[]])[] = [
      ["a watch is deleted", [fill, gone, deleteWatches(false)]],
      ["a watch is purged", [fill, gone, deleteWatches(true)]],
      ["a call has a transition", [fill, gone, see("success")]],
      ["a watch of an enabled endpoint is deleted", [fill, patch("disabled"), later, patch("enabled"), deleteWatches(false)]],
      ["a delivery is retried on request", [fill, gone, patch("enabled"), retryOne]],
    ];
    it.each(meanwhile)("obey what happens to single rows meanwhile: %s", async (_, steps) => {
      for (const between of portionsBetween) await expectAsAtOnce(steps, between);
    });

    it("count in quotas from the moment when they are set", async () => {
      const world = await open({ marks: { threshold: 5, portion: 3 } });
      await fill(world);
      const quotas = { ...noQuotas, maxActiveWatches: watchCount + 3 };
      expect((await world.register("OUT-more", { url: other, quotas })).kind).toBe("quota_exceeded");
      await gone(world);
      for (let more = 0; more <= watchCount; more++) {
        const registered = await world.register(`OUT-more-${more}`, { url: other, quotas });
        expect([more, registered.kind]).toEqual([more, more < watchCount ? "created" : "quota_exceeded"]);
        await world.store.sweepMark({ accountId: (await world.account()).id, nowMs: world.nowMs });
      }
    });

    it("answer a recovery of more rows than are counted without counts", async () => {
      const world = await open({ marks: { threshold: 1, portion: 3 } });
      await fill(world);
      expect(await recover(world)).toEqual({ kind: "recovered", recovered: null, hurried: null, more: true });
    });

    it("show every row once in a list, however short its pages are", async () => {
      const world = await open({ marks: { threshold: 5, portion: 3 } });
      await fill(world);
      await gone(world);
      const accountId = (await world.account()).id;
      const seen: string[] = [];
      let cursor: string | null = null;
      do {
        const page: Awaited<ReturnType<typeof world.store.listWatches>> = await world.store.listWatches({
          accountId,
          status: "canceled",
          callSid: null,
          limit: 2,
          cursor,
        });
        seen.push(...page.data.map(({ watch }) => watch.id));
        cursor = page.nextCursor;
      } while (cursor !== null);
      expect(seen).toEqual([...new Set(seen)]);
      expect(seen).toHaveLength(watchCount);
      expect(seen).toEqual(seen.toSorted().toReversed());
    });
  });
}

/** Watches on one URL with deliveries in every state, and three on another URL. One job is left on the wire. */
async function fill(world: OpenWorld): Promise<void> {
  for (let index = 0; index < watchCount; index++) {
    await world.watch(`OUT-${index}`, { url: receiver });
    const queued = only((await world.see(`OUT-${index}`, "queued")).jobs);
    if (index === watchCount - 1) onWire.set(world, queued);
    else if (index % 4 === 0) await world.record(queued);
    else if (index % 4 === 1) await world.record(queued, broken);
    else if (index % 4 === 2) await world.record(queued, { ...broken, permanent: true });
    else await world.release([queued]);
    if (index % 3 === 0) await world.release((await world.see(`OUT-${index}`, "calling")).jobs);
  }
  for (let index = 0; index < 3; index++) {
    await world.watch(`OUT-other-${index}`, { url: other });
    await world.release((await world.see(`OUT-other-${index}`, "queued")).jobs);
  }
}

const onWire = new WeakMap<OpenWorld, SendJob>();

function jobOnWire(world: OpenWorld): SendJob {
  const job = onWire.get(world);
  if (job === undefined) throw new Error("no job is on the wire");
  return job;
}

const gone: Step = (world) => world.record(jobOnWire(world), answered(410));

const soon: Step = async (world) => world.pass(second);

const later: Step = async (world) => world.pass(hour);

async function endpointIdOf(world: OpenWorld, url: string): Promise<string> {
  const { data } = await world.store.listEndpoints({ accountId: (await world.account()).id, limit: 50, cursor: null });
  return only(data.filter(({ endpoint }) => endpoint.url === url)).endpoint.id;
}

function patch(state: "enabled" | "paused" | "disabled"): Step {
  return async (world) =>
    world.store.patchEndpoint({
      by: null,
      accountId: (await world.account()).id,
      endpointId: await endpointIdOf(world, receiver),
      patch: { state },
      nowMs: world.nowMs,
    });
}

const recover: Step = async (world) => {
  // What ended at the time of a recovery is in flight to it.
  world.pass(second);
  return world.store.recover({
    by: null,
    accountId: (await world.account()).id,
    endpointId: await endpointIdOf(world, receiver),
    sinceMs: 0,
    untilMs: world.nowMs,
    nowMs: world.nowMs,
  });
};

/** All that is due is on the wire when the receiver asks to be left alone. */
const defer: Step = async (world) => {
  const { jobs } = await world.claim({ defaultCapacity: 100 });
  for (const job of jobs.filter(({ target }) => target.url === receiver)) await world.record(job, answered(429, "600"));
  await world.release(jobs.filter(({ target }) => target.url !== receiver));
};

/** A hook and watches share a URL; the watches ask for endings alone. */
const fillHooks: Step = async (world) => {
  await world.hook(receiver);
  await world.hook(receiver, { events: ["call.calling"] });
  for (let index = 0; index < 6; index++) {
    await world.watch(`OUT-${index}`, { url: receiver, events: ["terminal"] });
    await world.release((await world.see(`OUT-${index}`, "queued")).jobs);
    await world.release((await world.see(`OUT-${index}`, "calling")).jobs);
    if (index % 2 === 0) await world.release((await world.see(`OUT-${index}`, "success")).jobs);
  }
};

const failAll: Step = async (world) => {
  const { jobs } = await world.claim({ defaultCapacity: 100 });
  for (const job of jobs) await world.record(job, { ...broken, permanent: true });
};

const unhook: Step = async (world) => {
  const accountId = (await world.account()).id;
  const { data } = await world.store.listHooks({ accountId, limit: 50, cursor: null });
  const hook = only(data.filter(({ filter }) => filter.names === null));
  return world.store.removeHook({ by: null, accountId, hookId: hook.id, nowMs: world.nowMs });
};

/** One watch with many pending deliveries, beside another. */
const fillLane: Step = async (world) => {
  await world.hook(other);
  await world.watch("OUT-0", { url: receiver });
  await world.watch("OUT-beside", { url: receiver });
  for (let index = 0; index < 8; index++) await world.release((await world.commit("OUT-0", [statusChange(`queued-${index}`)])).jobs);
  await world.release((await world.see("OUT-beside", "queued")).jobs);
};

async function watchesOf(world: OpenWorld, callSid: string) {
  const accountId = (await world.account()).id;
  return (await world.store.listWatches({ accountId, status: null, callSid, limit: 50, cursor: null })).data;
}

function removeWatch(purge: boolean): Step {
  return async (world) => {
    const accountId = (await world.account()).id;
    for (const { watch } of await watchesOf(world, "OUT-0"))
      await world.store.removeWatch({ by: null, accountId, watchId: watch.id, purge, nowMs: world.nowMs });
  };
}

function deleteWatches(purge: boolean): Step {
  return async (world) => {
    const accountId = (await world.account()).id;
    for (const callSid of ["OUT-1", "OUT-5", "OUT-9"])
      for (const { watch } of await watchesOf(world, callSid))
        await world.store.removeWatch({ by: null, accountId, watchId: watch.id, purge, nowMs: world.nowMs });
  };
}

function watchAgain(callSid: string, url: string): Step {
  return (world) => world.register(callSid, { url });
}

/** An event of a call that was registered while the mark runs, whose first attempt fails. */
const seeNew: Step = async (world) => {
  const { jobs } = await world.see("OUT-new", "queued");
  for (const job of jobs) await world.record(job, broken);
};

/** A transition of calls whose watches a mark has ended. */
function see(status: string): Step {
  return async (world) => {
    for (const callSid of ["OUT-2", "OUT-10"]) {
      const committed = await world.store.commitCall(world.commitOf(callSid, [statusChange(status)]));
      // A call without a watch may belong to no instance any more.
      if (committed.kind === "committed") expect(committed).toMatchObject({ jobs: [], notices: [], call: null });
      else expect(committed).toEqual({ kind: "stale", call: null });
    }
  };
}

const retryOne: Step = async (world) => {
  const accountId = (await world.account()).id;
  for (const status of ["canceled", "failed"] as const) {
    const { data } = await world.store.listDeliveries({ accountId, endpointId: null, watchId: null, status, limit: 50, cursor: null });
    const deliveryId = data.at(-1)?.delivery.id ?? "";
    const claimed = await world.store.claimManualRetry({ by: null, accountId, deliveryId, nowMs: world.nowMs });
    // A success settles what was canceled.
    if (claimed.kind === "claimed") await world.record(claimed.job, status === "canceled" ? ok : answered(500));
  }
};

/** What reads show: everything with names in place of ids, and the gauges. */
type Shown = { readonly reads: Awaited<ReturnType<typeof observe>>; readonly counts: ReturnType<typeof countsOf> };

async function show(world: OpenWorld): Promise<Shown> {
  return { reads: await observe(world), counts: countsOf(await world.store.readStats()) };
}

/** Compares what reads show; the gauges and backlogs if the marks count at once. */
async function expectShown(marked: OpenWorld, expected: Shown, isCounted: boolean): Promise<void> {
  const shown = await show(marked);
  const compared = ({ reads, counts }: Shown) => (isCounted ? { ...reads, counts } : { ...reads, backlogs: null });
  expect(compared(shown)).toEqual(compared(expected));
  await expectClaimsAsShown(marked);
}

function countsOf({ watchesByStatus, deliveriesByStatus }: Awaited<ReturnType<OpenWorld["store"]["readStats"]>>) {
  return { watchesByStatus, deliveriesByStatus };
}

/** A claim takes nothing but what every read shows as pending and due. */
async function expectClaimsAsShown(world: OpenWorld): Promise<void> {
  const accountId = (await world.account()).id;
  const shown = await world.store.listDeliveries({
    accountId,
    endpointId: null,
    watchId: null,
    status: "pending",
    limit: 200,
    cursor: null,
  });
  const due = new Map(shown.data.map((view) => [view.delivery.id, view]));
  const { jobs } = await world.claim({ defaultCapacity: 100 });
  for (const job of jobs) expect(due.get(job.deliveryId)?.dueAtMs ?? Infinity).toBeLessThanOrEqual(world.nowMs);
  await world.release(jobs);
}

/** Reads everything that the API can show. Nothing writes meanwhile, so reads that need no other are sent together. */
async function observe(world: OpenWorld) {
  const { store } = world;
  const accountId = (await world.account()).id;
  const listWatches = async (status: (typeof watchStatuses)[number] | null, callSid: string | null = null) =>
    (await store.listWatches({ accountId, status, callSid, limit: 200, cursor: null })).data;
  const [watchLists, endpoints, feed, recent] = await Promise.all([
    Promise.all([null, ...watchStatuses].map(async (status) => [status, await listWatches(status)] as const)),
    store.listEndpoints({ accountId, limit: 50, cursor: null }).then(({ data }) => data),
    store.readFeed({ accountId, cursor: null, sinceMs: null, callSid: null, types: null, orTerminal: false, limit: 200 }),
    store.listRecentEvents({ accountId, types: null, orTerminal: false, limit: 200 }),
  ]);
  const names = new Map(watchLists.flatMap(([, data]) => data.map(({ watch }) => [watch.id, watch.callSid])));
  const urls = new Map(endpoints.map(({ endpoint }) => [endpoint.id, endpoint.url]));
  const deliveryLists = await Promise.all(
    [null, ...deliveryStatuses].flatMap((status) =>
      (status === "pending" || status === "canceled" ? [null, ...urls.keys()] : [null]).map(async (endpointId) => {
        const { data } = await store.listDeliveries({ accountId, endpointId, watchId: null, status, limit: 200, cursor: null });
        return { status, endpointId, data };
      }),
    ),
  );
  await Promise.all([
    ...watchLists.flatMap(([, data]) =>
      data.slice(0, 2).map(async ({ watch }) => {
        expect((await store.getWatch(accountId, watch.id))?.watch).toEqual(watch);
        expect((await listWatches(watch.status, watch.callSid)).map((view) => view.watch.id)).toContain(watch.id);
      }),
    ),
    ...deliveryLists
      .filter(({ endpointId }) => endpointId === null)
      .flatMap(({ data }) => data.slice(-2))
      .map(async (view) => expect((await store.getDelivery(accountId, view.delivery.id))?.view).toEqual(view)),
    ...feed.data.slice(0, 3).map(async ({ event }) => expect(await store.getEvent(accountId, event.id)).not.toBeNull()),
  ]);
  return {
    watches: Object.fromEntries(
      watchLists.map(([status, data]) => [
        status ?? "all",
        data.map(({ watch, pendingDeliveries }) => [watch.callSid, watch.status, watch.endReason, watch.endedAtMs, pendingDeliveries]),
      ]),
    ),
    deliveries: Object.fromEntries(
      deliveryLists.map(({ status, endpointId, data }) => [
        `${status ?? "all"} ${urls.get(endpointId ?? "") ?? "all"}`,
        data.map(({ delivery, dueAtMs, blockedBySequence }) => [
          names.get(delivery.watchId ?? "") ?? delivery.watchId,
          delivery.eventType,
          urls.get(delivery.endpointId),
          delivery.status,
          delivery.stepsSpent,
          delivery.nextAttemptAtMs,
          delivery.settledAtMs,
          delivery.firstFailedAtMs,
          dueAtMs,
          blockedBySequence,
        ]),
      ]),
    ),
    endpoints: endpoints.map(({ endpoint }) => [endpoint.url, endpoint.state]),
    backlogs: endpoints.map(({ backlog, oldestDueAtMs }) => [backlog, oldestDueAtMs]),
    feed: feed.data
      .map(({ event, deliveries }) => [
        event.type,
        event.data,
        deliveries.map(({ endpointId, status, nextAttemptAtMs }) => [urls.get(endpointId), status, nextAttemptAtMs]),
      ])
      .map((entry) => JSON.stringify(entry).replaceAll(/(?:wch|dlv|ep)_\w+/g, "id")),
    recent: recent.map(({ type }) => type),
  };
}

import { describe, expect, it } from "vitest";
import { InstanceFenced } from "../../src/domain/errors.ts";
import { answered, expectKind, minute, noQuotas, ok, only, second, statusChange, typesOf } from "../support/store-drafts.ts";
import { owe } from "./deliveries-suite.ts";
import type { Beside, OpenWorld } from "./store-backend.ts";
import { worlds } from "./store-backend.ts";
import type { StoreBackend } from "./store-backend.ts";

const rounds = 12;
const receiver = "https://receiver.example/hook";

/** Starts both, in some rounds the first and in others the second a few turns of the loop later. */
async function both<A, B>(one: () => Promise<A>, two: () => Promise<B>, round: number): Promise<[A, B]> {
  const turns = (round % 7) * 4;
  return Promise.all([after(round % 3 === 0 ? turns : 0, one), after(round % 3 === 1 ? turns : 0, two)]);
}

async function after<T>(turns: number, run: () => Promise<T>): Promise<T> {
  for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate);
  return run();
}

/** Two servers on one database, or two callers of one server where there can be no second. */
export function racesSuite(backend: StoreBackend): void {
  describe("two at the same moment", () => {
    const open = worlds(backend);

    it("claim: what is due goes to one of them", async () => {
      const world = await open();
      const other = await world.beside();
      const owed = await owe(
        world,
        Array.from({ length: 40 }, (_, n) => `https://r${n % 10}.example/${n}`),
      );
      const claimed: string[] = [];
      while (claimed.length < owed.length) {
        const results = await Promise.all([world.claim({ limit: 5 }), other.claim({ limit: 5 }), world.claim({ limit: 5 })]);
        const jobs = results.flatMap((result) => result.jobs);
        expect(jobs.length).toBeGreaterThan(0);
        claimed.push(...jobs.map((job) => job.deliveryId));
      }
      expect(new Set(claimed).size).toBe(owed.length);
      expect(claimed).toHaveLength(owed.length);
    });

    it("register the same watch: it is made once, both are told the same", async () => {
      const world = await open();
      const other = await world.beside();
      for (let round = 0; round < rounds; round++) {
        const [one, two] = await both(
          () => world.register(`OUT-${round}`, { url: `https://new${round}.example/` }),
          () => other.register(`OUT-${round}`, { url: `https://new${round}.example/` }),
          round,
        );
        expect([one.kind, two.kind].toSorted()).toEqual(["created", "existing"]);
        const ids = [one, two].map((result) => ("view" in result ? result.view.watch.id : null));
        expect(ids[0]).toBe(ids[1]);
      }
      const { id: accountId } = await world.account();
      expect((await world.store.listEndpoints({ accountId, limit: 100, cursor: null })).data).toHaveLength(rounds);
    });

    it("register different watches of one call: it is one call, and one of them polls it", async () => {
      const world = await open();
      const other = await world.beside();
      const theirs = (await world.account("theirs")).id;
      for (let round = 0; round < rounds; round++) {
        const [one, two] = await both(
          () => world.watch(`OUT-${round}`),
          () => other.watch(`OUT-${round}`, { accountId: theirs }),
          round,
        );
        expect(one.view.watch.callId).toBe(two.view.watch.callId);
        const polled = [one, two].filter(({ call }) => call !== null);
        expect(polled.length).toBe(backend.shared ? 1 : 2);
      }
    });

    it("keep to the quota together", async () => {
      const world = await open();
      const other = await world.beside();
      const quotas = { ...noQuotas, maxActiveWatches: 10, maxEndpoints: 4 };
      await world.account();
      const results = await Promise.all(
        Array.from({ length: 40 }, (_, n) =>
          (n % 2 === 0 ? world : other).register(`OUT-${n}`, { quotas, url: `https://r${n % 8}.example/` }),
        ),
      );
      const { id: accountId } = await world.account();
      expect(results.filter(({ kind }) => kind === "created").length).toBeLessThanOrEqual(10);
      expect((await world.store.listEndpoints({ accountId, limit: 100, cursor: null })).data.length).toBeLessThanOrEqual(4);
      expect(await world.store.readFigures()).toMatchObject({
        watchesByStatus: { active: results.filter(({ kind }) => kind === "created").length },
      });
    });

    it("register the same hook: it is made once", async () => {
      const world = await open();
      const other = await world.beside();
      for (let round = 0; round < rounds; round++) {
        const url = `https://hooks${round}.example/`;
        const [one, two] = await both(
          () => world.registerHook(url),
          () => other.registerHook(url),
          round,
        );
        expect([one.kind, two.kind].toSorted()).toEqual(["created", "existing"]);
      }
    });

    it("end a call and watch it: the end is told once, whoever was first", async () => {
      const world = await open();
      const other = await world.beside();
      for (let round = 0; round < rounds * 3; round++) {
        const callSid = `OUT-${round}`;
        const url = `https://racer${round}.example/`;
        await world.watch(callSid);
        const commit = world.commitOf(callSid, [statusChange("success")]);
        const [committed, registered] = await both(
          () => world.store.commitCall(commit),
          () => other.watch(callSid, { url }),
          round,
        );
        expect(committed).toMatchObject({ kind: "committed", call: null });
        const { accountId, id: watchId } = registered.view.watch;
        expect((await world.store.getWatch(accountId, watchId))?.watch).toMatchObject({ status: "completed", sequence: 1 });
        const told = [...(committed.kind === "committed" ? committed.jobs : []), ...registered.jobs];
        expect(told.filter((job) => job.target.url === url)).toHaveLength(1);
      }
    });

    it("settle a head and add behind it: what waits is never forgotten", async () => {
      const world = await open();
      const other = await world.beside();
      for (let round = 0; round < rounds * 2; round++) {
        const callSid = `OUT-${round}`;
        await world.watch(callSid, { url: `https://lane${round}.example/` });
        const head = only((await world.see(callSid, "queued")).jobs);
        const [committed] = await both(
          () => world.see(callSid, "calling"),
          () => other.record(head),
          round,
        );
        const next = [...committed.jobs, ...(await other.claim({ limit: 1 })).jobs];
        expect(typesOf(next)).toEqual(["call.calling"]);
        await other.record(only(next));
      }
    });

    it("remove a watch and tell it: nothing is sent once the removal is answered", async () => {
      const world = await open();
      const other = await world.beside();
      for (let round = 0; round < rounds * 2; round++) {
        const callSid = `OUT-${round}`;
        const { view } = await world.watch(callSid);
        const { accountId, id: watchId } = view.watch;
        const commit = world.commitOf(callSid, [statusChange("queued")]);
        const [committed, removed] = await both(
          () => world.store.commitCall(commit),
          () => other.store.removeWatch({ accountId, watchId, purge: false, nowMs: world.nowMs }),
          round,
        );
        expect(removed).toMatchObject({ kind: "removed", call: null });
        expect((await world.store.getWatch(accountId, watchId))?.watch).toMatchObject({ status: "canceled" });
        for (const job of committed.kind === "committed" ? committed.jobs : []) {
          expect((await world.deliveryOf(job)).view.delivery.status).toBe("canceled");
          expect((await world.record(job, answered(500))).delivery.status).toBe("canceled");
        }
        expect((await other.claim()).jobs).toEqual([]);
      }
    });

    it("purge a watch and tell it: nothing of it is left", async () => {
      const world = await open();
      const other = await world.beside();
      for (let round = 0; round < rounds; round++) {
        const { view } = await world.watch(`OUT-${round}`);
        const { accountId, id: watchId } = view.watch;
        const commit = world.commitOf(`OUT-${round}`, [statusChange("queued")]);
        await both(
          () => world.store.commitCall(commit),
          () => other.store.removeWatch({ accountId, watchId, purge: true, nowMs: world.nowMs }),
          round,
        );
        expect(await world.store.getWatch(accountId, watchId)).toBeNull();
        expect(await world.store.getCall({ accountId, sourceName: "default", callSid: `OUT-${round}` })).toBeNull();
      }
      const { deliveriesByStatus, watchesByStatus } = await world.store.readFigures();
      expect([deliveriesByStatus["pending"], watchesByStatus["active"]]).toEqual([0, 0]);
    });

    it("remove a hook and tell it: what it was owed alone is canceled", async () => {
      const world = await open();
      const other = await world.beside();
      for (let round = 0; round < rounds; round++) {
        const { view } = await world.hook(`https://hooks${round}.example/`);
        await world.watch(`OUT-${round}`, { url: null });
        const commit = world.commitOf(`OUT-${round}`, [statusChange("queued")]);
        await both(
          () => world.store.commitCall(commit),
          () => other.store.removeHook({ accountId: view.accountId, hookId: view.id, nowMs: world.nowMs }),
          round,
        );
        const { data } = await world.store.listDeliveries({
          accountId: view.accountId,
          endpointId: view.endpoint.id,
          watchId: null,
          status: null,
          limit: 10,
          cursor: null,
        });
        expect(data.filter(({ delivery }) => delivery.status !== "canceled")).toEqual([]);
      }
    });

    it("record attempts of one endpoint: every failure counts", async () => {
      const world = await open();
      const other = await world.beside();
      const jobs = [];
      for (let n = 0; n < 20; n++) {
        await world.watch(`OUT-${n}`, { url: receiver });
        jobs.push(...(await world.see(`OUT-${n}`, "queued")).jobs);
      }
      await Promise.all(jobs.map((job, n) => (n % 2 === 0 ? world : other).record(job, answered(500))));
      const { accountId } = jobs[0]?.event ?? { accountId: "" };
      const { endpoint, backlog } = (await world.store.getEndpoint(accountId, jobs[0]?.target.id ?? "")) ?? expect.fail("no endpoint");
      expect([endpoint.health.consecutiveFailures, backlog]).toEqual([20, 20]);
      world.pass(minute);
      other.pass(minute);
      const [one, two] = await Promise.all([
        world.claim({ roomByEndpoint: [[endpoint.id, 50]], roomByHost: [[`${accountId} ${endpoint.origin}`, 50]] }),
        other.claim({ roomByEndpoint: [[endpoint.id, 50]], roomByHost: [[`${accountId} ${endpoint.origin}`, 50]] }),
      ]);
      expect(new Set([...one.jobs, ...two.jobs].map((job) => job.deliveryId)).size).toBe(20);
    });

    it("answer 410 and tell a watch of that endpoint: nothing is owed to it", async () => {
      const world = await open();
      const other = await world.beside();
      for (let round = 0; round < rounds; round++) {
        const url = `https://gone${round}.example/`;
        await world.watch(`OUT-${round}-a`, { url });
        await world.watch(`OUT-${round}-b`, { url });
        const job = only((await world.see(`OUT-${round}-a`, "queued")).jobs);
        const commit = world.commitOf(`OUT-${round}-b`, [statusChange("queued")]);
        const [committed] = await both(
          () => world.store.commitCall(commit),
          () => other.record(job, answered(410)),
          round,
        );
        expect(committed.kind).toBe("committed");
        expect(await world.store.getEndpoint(job.event.accountId, job.target.id)).toMatchObject({
          backlog: 0,
          endpoint: { state: "disabled", reason: "gone" },
        });
      }
    });
  });

  describe.runIf(backend.shared)("several servers", () => {
    const open = worlds(backend);

    it("hold one place at an endpoint that takes one", async () => {
      const world = await open();
      const other = await world.beside();
      const { view } = await world.watch("OUT-0", { url: receiver });
      const { accountId } = view.watch;
      const endpointId = view.endpoint?.id ?? "";
      await world.store.patchEndpoint({ accountId, endpointId, patch: { maxInFlight: 1 }, nowMs: world.nowMs });
      for (let n = 1; n < 10; n++) await world.watch(`OUT-${n}`, { url: receiver });
      const first = only((await world.see("OUT-0", "queued")).jobs);
      await world.store.releaseDeliveries([first]);
      const [held] = (await world.claim({ limit: 1 })).jobs;
      if (held === undefined) throw new Error("one is due");
      // Owed, and not leased: the place is taken by another instance.
      await passCalls(world, other);
      for (let n = 1; n < 10; n++) expect((await other.see(`OUT-${n}`, "queued")).jobs).toEqual([]);
      expect((await other.claim()).jobs).toEqual([]);
      await world.record(held);
      const roomByEndpoint = [[endpointId, 1]] as const;
      const claims = await Promise.all([world.claim({ roomByEndpoint }), other.claim({ roomByEndpoint })]);
      expect(claims.flatMap(({ jobs }) => jobs)).toHaveLength(1);
    });

    it("send one delivery after a pause, in total", async () => {
      const world = await open();
      const other = await world.beside();
      await owe(world, [receiver, "https://receiver.example/2", "https://receiver.example/3"]);
      await world.record(only((await world.claim({ limit: 1 })).jobs), answered(429, "10"));
      world.pass(10 * second);
      other.pass(10 * second);
      const [one, two] = await Promise.all([world.claim(), other.claim()]);
      const probe = only([...one.jobs, ...two.jobs]);
      expect([...(await world.claim()).jobs, ...(await other.claim()).jobs]).toEqual([]);
      await other.record(probe, ok);
      expect((await other.claim()).jobs.length).toBeGreaterThan(0);
    });

    it("show at once what any of them accepted", async () => {
      const world = await open();
      const other = await world.beside();
      const { view } = await world.watch("OUT-1");
      const { accountId, id: watchId } = view.watch;
      expect((await other.store.getWatch(accountId, watchId))?.watch).toMatchObject({ status: "active" });
      await world.see("OUT-1", "queued");
      const feed = await other.store.readFeed({
        accountId,
        limit: 5,
        cursor: null,
        sinceMs: null,
        types: null,
        orTerminal: false,
        callSid: null,
      });
      expect(feed.data.map(({ event }) => event.type)).toEqual(["call.queued"]);
    });

    it("leave a call to the one that polls it", async () => {
      const world = await open();
      const other = await world.beside();
      await world.watch("OUT-1");
      const late = await other.watch("OUT-1", { url: "https://late.example/" });
      expect(late.call).toBeNull();
      expect(await other.store.loadWatchedCalls({ afterCallId: null, limit: 5 })).toEqual([]);
      expect(await other.store.commitCall(world.commitOf("OUT-1", [statusChange("success")]))).toEqual({ kind: "stale", call: null });
      expect(typesOf((await world.see("OUT-1", "queued")).jobs)).toEqual(["call.queued", "call.queued"]);
    });

    it("go on with what a dead one held; it is refused when it wakes", async () => {
      const world = await open();
      const dead = await world.beside();
      const { view } = await dead.watch("OUT-1");
      const job = only((await dead.see("OUT-1", "queued")).jobs);
      const stale = dead.commitOf("OUT-1", [statusChange("success")]);
      await dead.evict();
      const again = only((await world.claim()).jobs);
      expect(again).toMatchObject({ deliveryId: job.deliveryId, attemptNumber: 1, event: { id: job.event.id } });
      expect(await dead.store.commitCall(stale)).toEqual({ kind: "stale", call: null });
      expect(await dead.attempt(job)).toEqual({ kind: "fenced" });
      await expect(dead.claim()).resolves.toMatchObject({ jobs: [] });
      await expect(dead.register("OUT-2")).rejects.toThrow(InstanceFenced);
      await expect(dead.store.claimOne({ accountId: job.event.accountId, deliveryId: job.deliveryId, nowMs: world.nowMs })).rejects.toThrow(
        InstanceFenced,
      );
      expect((await world.store.getWatch(view.watch.accountId, view.watch.id))?.watch).toMatchObject({ status: "active", sequence: 1 });
      // Its call is free: whoever registers a watch of it polls it.
      const late = await world.watch("OUT-1", { url: "https://late.example/" });
      expect(late.call).toMatchObject({ version: 2 });
      for (const owed of [again, only(late.jobs)]) await world.record(owed);
      expect(typesOf((await world.see("OUT-1", "success")).jobs)).toHaveLength(2);
    });

    it("are refused while they are taken for dead, whichever comes first", async () => {
      const world = await open();
      for (let round = 0; round < rounds; round++) {
        const dying = await world.beside();
        await dying.watch(`OUT-${round}`, { url: `https://r${round}.example/` });
        const commit = dying.commitOf(`OUT-${round}`, [statusChange("queued")]);
        const [committed] = await Promise.all([dying.store.commitCall(commit), dying.evict()]);
        const jobs = (await world.claim()).jobs;
        // Committed before the eviction: its delivery is due for others; after it: nothing was written.
        expect(jobs).toHaveLength(committed.kind === "committed" ? 1 : 0);
        for (const job of jobs) await world.record(job);
      }
    });
  });
}

/** `other` knows and owns the calls of `world` from now on. */
async function passCalls(world: OpenWorld, other: Beside): Promise<void> {
  const calls = await world.store.loadWatchedCalls({ afterCallId: null, limit: 100 });
  await world.store.releaseCalls(calls.map(({ callId }) => ({ callId, lastGoodPollAtMs: null })));
  for (const { callSid } of calls)
    expectKind(await other.register(callSid, { url: `https://also.example/${callSid}`, events: ["watch.lost"] }), "created");
}

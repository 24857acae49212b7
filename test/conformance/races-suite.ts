import { describe, expect, it } from "vitest";
import type { SendJob } from "../../src/ports/stores/send-job.ts";
import { answered, minute, noQuotas, only, second, statusChange, typesOf } from "../harness/store-drafts.ts";
import { makeDue } from "./deliveries-suite.ts";
import { worlds } from "./store-backend.ts";
import type { OpenWorld, StoreBackend } from "./store-backend.ts";

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

let leasedCalls = 0;

/** Makes a watch with one event for each URL; returns the jobs, leased. */
async function leaseEach(world: OpenWorld, urls: readonly string[]): Promise<readonly SendJob[]> {
  const jobs: SendJob[] = [];
  for (const url of urls) {
    const callSid = `OUT-leased-${++leasedCalls}`;
    await world.watch(callSid, { url });
    jobs.push(...(await world.see(callSid, "queued")).jobs);
  }
  return jobs;
}

/** Two servers on one database, or two callers of one server where there can be no second. */
export function racesSuite(backend: StoreBackend): void {
  describe("two at the same moment", () => {
    const open = worlds(backend);

    it("claim: what is due goes to one of them", async () => {
      const world = await open();
      const other = await world.beside();
      const due = await makeDue(
        world,
        Array.from({ length: 40 }, (_, n) => `https://r${n % 10}.example/${n}`),
      );
      const claimed: string[] = [];
      while (claimed.length < due.length) {
        const results = await Promise.all([world.claim({ limit: 5 }), other.claim({ limit: 5 }), world.claim({ limit: 5 })]);
        const jobs = results.flatMap((result) => result.jobs);
        expect(jobs.length).toBeGreaterThan(0);
        claimed.push(...jobs.map((job) => job.deliveryId));
      }
      expect(new Set(claimed).size).toBe(due.length);
      expect(claimed).toHaveLength(due.length);
    });

    it("register the same watch: it is made once, both get the same", async () => {
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
      expect(await world.store.readStats()).toMatchObject({
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

    it("end a call and watch it: the end is sent once, in either order", async () => {
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
        const jobs = [...(committed.kind === "committed" ? committed.jobs : []), ...registered.jobs];
        expect(jobs.filter((job) => job.target.url === url)).toHaveLength(1);
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

    it("remove a watch and notify it: nothing is sent once the removal is answered", async () => {
      const world = await open();
      const other = await world.beside();
      for (let round = 0; round < rounds * 2; round++) {
        const callSid = `OUT-${round}`;
        const { view } = await world.watch(callSid);
        const { accountId, id: watchId } = view.watch;
        const commit = world.commitOf(callSid, [statusChange("queued")]);
        const [committed, removed] = await both(
          () => world.store.commitCall(commit),
          () => other.store.removeWatch({ by: null, accountId, watchId, purge: false, nowMs: world.nowMs }),
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

    it("purge a watch and notify it: nothing of it is left", async () => {
      const world = await open();
      const other = await world.beside();
      for (let round = 0; round < rounds; round++) {
        const { view } = await world.watch(`OUT-${round}`);
        const { accountId, id: watchId } = view.watch;
        const commit = world.commitOf(`OUT-${round}`, [statusChange("queued")]);
        await both(
          () => world.store.commitCall(commit),
          () => other.store.removeWatch({ by: null, accountId, watchId, purge: true, nowMs: world.nowMs }),
          round,
        );
        expect(await world.store.getWatch(accountId, watchId)).toBeNull();
        expect(await world.store.getCall({ accountId, sourceName: "default", callSid: `OUT-${round}` })).toBeNull();
      }
      const { deliveriesByStatus, watchesByStatus } = await world.store.readStats();
      expect([deliveriesByStatus["pending"], watchesByStatus["active"]]).toEqual([0, 0]);
    });

    it("remove a hook and notify it: deliveries for it alone are canceled", async () => {
      const world = await open();
      const other = await world.beside();
      for (let round = 0; round < rounds; round++) {
        const { view } = await world.hook(`https://hooks${round}.example/`);
        await world.watch(`OUT-${round}`, { url: null });
        const commit = world.commitOf(`OUT-${round}`, [statusChange("queued")]);
        await both(
          () => world.store.commitCall(commit),
          () => other.store.removeHook({ by: null, accountId: view.accountId, hookId: view.id, nowMs: world.nowMs }),
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
        world.claim({ capacityByEndpoint: [[endpoint.id, 50]], capacityByHost: [[`${accountId} ${endpoint.origin}`, 50]] }),
        other.claim({ capacityByEndpoint: [[endpoint.id, 50]], capacityByHost: [[`${accountId} ${endpoint.origin}`, 50]] }),
      ]);
      expect(new Set([...one.jobs, ...two.jobs].map((job) => job.deliveryId)).size).toBe(20);
    });

    it("answer 200 and 410 at one endpoint: what was taken is recorded, and no delivery is pending to it", async () => {
      const world = await open();
      const other = await world.beside();
      for (let round = 0; round < rounds; round++) {
        const [first, taken, gone] = await leaseEach(world, Array<string>(3).fill(`https://both${round}.example/`));
        if (first === undefined || taken === undefined || gone === undefined) throw new Error("expected three jobs");
        // From now on a success says nothing new of the endpoint.
        await world.record(first);
        const [recorded] = await both(
          () => world.record(taken),
          () => other.record(gone, answered(410)),
          round,
        );
        expect(["delivered", "canceled"]).toContain(recorded.delivery.status);
        expect(await world.deliveryOf(taken)).toMatchObject({
          view: { leased: false, delivery: recorded.delivery },
          attempts: [{ statusCode: 200 }],
        });
        expect(await world.store.getEndpoint(gone.event.accountId, gone.target.id)).toMatchObject({
          backlog: 0,
          endpoint: { state: "disabled", reason: "gone" },
        });
      }
    });

    it("answer 200 and 502 at one host: the pause stays, in either order", async () => {
      const world = await open();
      const other = await world.beside();
      for (let round = 0; round < rounds; round++) {
        const host = `https://pausing${round}.example`;
        const [first, taken, slowed] = await leaseEach(world, [`${host}/a`, `${host}/a`, `${host}/b`]);
        if (first === undefined || taken === undefined || slowed === undefined) throw new Error("expected three jobs");
        await world.record(first);
        const [recorded] = await both(
          () => world.record(taken),
          () => other.record(slowed, answered(502)),
          round,
        );
        expect(recorded.delivery.status).toBe("delivered");
        for (const { event, target } of [taken, slowed])
          expect((await world.store.getEndpoint(event.accountId, target.id))?.hostPausedUntilMs).toBe(world.nowMs + 5 * second);
      }
    });

    it("answer 200 to what belongs to no watch and enable its endpoint: it is delivered, and not requeued", async () => {
      const world = await open();
      const other = await world.beside();
      const { id: accountId } = await world.account();
      for (let round = 0; round < rounds; round++) {
        const hook = await world.hook(`https://ops${round}.example/`, { events: ["source.suspended"] });
        const { id: endpointId } = hook.view.endpoint;
        const published = {
          type: "source.suspended",
          sourceName: "default",
          state: "suspended",
          reason: "unauthorized",
          nowMs: world.nowMs,
          afterAccountId: null,
          limit: 100,
        } as const;
        const isOurs = (job: SendJob) => job.target.id === endpointId;
        const first = only((await world.store.publishSourceEvent(published)).jobs.filter(isOurs));
        await world.record(first);
        const taken = only((await world.store.publishSourceEvent(published)).jobs.filter(isOurs));
        await world.store.patchEndpoint({ by: null, accountId, endpointId, patch: { state: "disabled" }, nowMs: world.nowMs });
        await both(
          () => world.record(taken),
          () => other.store.patchEndpoint({ by: null, accountId, endpointId, patch: { state: "enabled" }, nowMs: world.nowMs }),
          round,
        );
        expect(await world.deliveryOf(taken)).toMatchObject({
          view: { leased: false, delivery: { status: "delivered", nextAttemptAtMs: null } },
        });
        await world.store.removeHook({ by: null, accountId, hookId: hook.view.id, nowMs: world.nowMs });
      }
    });

    it("answer 410 and notify a watch of that endpoint: no delivery is pending to it", async () => {
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

    it("answer 410 and register a watch of that endpoint: it is canceled, or the endpoint is enabled again", async () => {
      const world = await open();
      const other = await world.beside();
      for (let round = 0; round < rounds; round++) {
        const url = `https://again${round}.example/`;
        const { id: accountId } = await world.account();
        await world.watch(`OUT-${round}-a`, { url });
        const job = only((await world.see(`OUT-${round}-a`, "queued")).jobs);
        const [registered] = await both(
          () => world.watch(`OUT-${round}-b`, { url }),
          () => other.record(job, answered(410)),
          round,
        );
        const watch = await world.store.getWatch(accountId, registered.view.watch.id);
        const endpoint = await world.store.getEndpoint(accountId, job.target.id);
        expect([watch?.watch.status, endpoint?.endpoint.state]).toEqual(
          watch?.watch.status === "active" ? ["active", "enabled"] : ["canceled", "disabled"],
        );
      }
    });
  });
}

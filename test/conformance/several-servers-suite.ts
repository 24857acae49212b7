import { describe, expect, it } from "vitest";
import { InstanceFencedError } from "../../src/domain/errors.ts";
import { answered, expectKind, ok, only, second, statusChange, typesOf } from "../harness/store-drafts.ts";
import { makeDue } from "./deliveries-suite.ts";
import type { Beside, OpenWorld } from "./store-backend.ts";
import { worlds } from "./store-backend.ts";
import type { StoreBackend } from "./store-backend.ts";

const rounds = 12;
const receiver = "https://receiver.example/hook";

/** What holds of several servers on one database in total, and what becomes of one that is taken for dead. */
export function severalServersSuite(backend: StoreBackend): void {
  describe.runIf(backend.shared)("several servers", () => {
    const open = worlds(backend);

    it("hold one place at an endpoint that takes one", async () => {
      const world = await open();
      const other = await world.beside();
      const { view } = await world.watch("OUT-0", { url: receiver });
      const { accountId } = view.watch;
      const endpointId = view.endpoint?.id ?? "";
      await world.store.patchEndpoint({ by: null, accountId, endpointId, patch: { maxInFlight: 1 }, nowMs: world.nowMs });
      for (let n = 1; n < 10; n++) await world.watch(`OUT-${n}`, { url: receiver });
      const first = only((await world.see("OUT-0", "queued")).jobs);
      await world.release([first]);
      const [held] = (await world.claim({ limit: 1 })).jobs;
      if (held === undefined) throw new Error("one is due");
      // Pending, and not leased: another instance has the only permit.
      await passCalls(world, other);
      for (let n = 1; n < 10; n++) expect((await other.see(`OUT-${n}`, "queued")).jobs).toEqual([]);
      expect((await other.claim()).jobs).toEqual([]);
      await world.record(held);
      const capacityByEndpoint = [[endpointId, 1]] as const;
      const claims = await Promise.all([world.claim({ capacityByEndpoint }), other.claim({ capacityByEndpoint })]);
      expect(claims.flatMap(({ jobs }) => jobs)).toHaveLength(1);
    });

    it("send one delivery after a pause, in total", async () => {
      const world = await open();
      const other = await world.beside();
      await makeDue(world, [receiver, "https://receiver.example/2", "https://receiver.example/3"]);
      await world.record(only((await world.claim({ limit: 1 })).jobs), answered(503, "10"));
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
      await expect(dead.register("OUT-2")).rejects.toThrow(InstanceFencedError);
      await expect(
        dead.store.claimManualRetry({ by: null, accountId: job.event.accountId, deliveryId: job.deliveryId, nowMs: world.nowMs }),
      ).rejects.toThrow(InstanceFencedError);
      expect((await world.store.getWatch(view.watch.accountId, view.watch.id))?.watch).toMatchObject({ status: "active", sequence: 1 });
      // Its call has no owner: the instance that registers a watch of it polls it.
      const late = await world.watch("OUT-1", { url: "https://late.example/" });
      expect(late.call).toMatchObject({ version: 2 });
      for (const job of [again, only(late.jobs)]) await world.record(job);
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
  await world.store.releaseCalls(
    calls.map(({ callId }) => ({ callId, lastGoodPollAtMs: null })),
    "balance",
  );
  for (const { callSid } of calls)
    expectKind(await other.register(callSid, { url: `https://also.example/${callSid}`, events: ["watch.lost"] }), "created");
}

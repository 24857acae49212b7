import { describe, expect, it } from "vitest";
import { answered, minute, ok, only, second, startMs, testPolicy, typesOf } from "../harness/store-drafts.ts";
import { worlds } from "./store-backend.ts";
import type { StoreBackend } from "./store-backend.ts";

const broken = answered(500);

export function lanesSuite(backend: StoreBackend): void {
  describe("order", () => {
    const open = worlds(backend);

    it("lets a later event wait for an earlier one until that is settled", async () => {
      const world = await open();
      await world.watch("OUT-1");
      const first = only((await world.see("OUT-1", "queued")).jobs);
      expect((await world.see("OUT-1", "calling")).jobs).toEqual([]);
      expect((await world.see("OUT-1", "success")).jobs).toEqual([]);
      const { data } = await world.store.listDeliveries({
        accountId: first.event.accountId,
        endpointId: null,
        watchId: null,
        status: "pending",
        limit: 10,
        cursor: null,
      });
      expect(data.map((view) => [view.dueAtMs, view.blockedBySequence])).toEqual([
        [null, 1],
        [null, 1],
        [startMs, null],
      ]);
      expect((await world.record(first)).endpointNextDueAtMs).toBe(startMs);
      expect(typesOf(await world.drain())).toEqual(["call.calling", "call.success"]);
    });

    it("holds up no other watch and no other endpoint", async () => {
      const world = await open();
      await world.hook("https://hooks.example/");
      await world.watch("OUT-1");
      await world.watch("OUT-2");
      const dead = (await world.see("OUT-1", "queued")).jobs.find((job) => job.target.url.includes("receiver"));
      if (dead === undefined) throw new Error("expected a job");
      await world.record(dead, broken);
      expect((await world.see("OUT-2", "queued")).jobs).toHaveLength(2);
    });

    it("lets a later one overtake when the earlier has been failing for the hold", async () => {
      const world = await open({ scheduleMs: [0, 10 * minute, 10 * minute] });
      await world.watch("OUT-1");
      const first = only((await world.see("OUT-1", "queued")).jobs);
      world.pass(10 * second);
      await world.record(first, broken);
      await world.see("OUT-1", "calling");
      const overtakesAtMs = startMs + 10 * second + testPolicy.orderHoldMs;
      expect(await world.claim()).toEqual({ jobs: [], nextDueAtMs: overtakesAtMs });
      world.nowMs = overtakesAtMs;
      const overtaking = only((await world.claim()).jobs);
      expect(overtaking.event.type).toBe("call.calling");
      await world.record(overtaking, ok);
      world.pass(10 * minute);
      expect(typesOf((await world.claim()).jobs)).toEqual(["call.queued"]);
    });

    it("counts no deferral as a failure", async () => {
      const world = await open();
      await world.watch("OUT-1");
      await world.record(only((await world.see("OUT-1", "queued")).jobs), answered(429, "600"));
      await world.see("OUT-1", "calling");
      world.pass(10 * minute);
      expect(typesOf((await world.claim()).jobs)).toEqual(["call.queued"]);
    });

    it("does not restart the hold after a restart", async () => {
      if (!backend.durable) return;
      const world = await open({ scheduleMs: [0, 10 * minute] });
      await world.watch("OUT-1");
      await world.record(only((await world.see("OUT-1", "queued")).jobs), broken);
      world.pass(testPolicy.orderHoldMs);
      await world.restart();
      await world.see("OUT-1", "calling");
      expect(typesOf((await world.claim()).jobs)).toEqual(["call.calling"]);
    });

    it("drops late events where the endpoint wants none, never a terminal one", async () => {
      const world = await open({ scheduleMs: [0, 10 * minute, 10 * minute] });
      await world.watch("OUT-1", { endpoint: { late: "drop" } });
      const queued = only((await world.see("OUT-1", "queued")).jobs);
      await world.record(queued, broken);
      await world.see("OUT-1", "calling");
      world.pass(testPolicy.orderHoldMs);
      const calling = only((await world.claim()).jobs);
      const recorded = await world.record(calling);
      expect((await world.deliveryOf(queued)).view.delivery).toMatchObject({
        status: "superseded",
        settledAtMs: world.nowMs,
        nextAttemptAtMs: null,
      });
      expect(recorded.endpointNextDueAtMs).toBeNull();
    });

    it("records an attempt of a superseded delivery and leaves it superseded", async () => {
      const world = await open({ scheduleMs: [0, second, 10 * minute] });
      await world.watch("OUT-1", { endpoint: { late: "drop" } });
      const queued = only((await world.see("OUT-1", "queued")).jobs);
      await world.record(queued, broken);
      await world.see("OUT-1", "calling");
      world.pass(testPolicy.orderHoldMs);
      const both = (await world.claim()).jobs;
      const [again, calling] = both;
      if (again === undefined || calling === undefined) throw new Error("both are due");
      await world.record(calling);
      expect((await world.record(again, ok)).delivery.status).toBe("superseded");
      expect((await world.deliveryOf(queued)).attempts).toHaveLength(2);
    });

    it("keeps the order when what was given up is recovered", async () => {
      const world = await open({ scheduleMs: [0] });
      const { view } = await world.watch("OUT-1");
      await world.record(only((await world.see("OUT-1", "queued")).jobs), broken);
      await world.record(only((await world.see("OUT-1", "calling")).jobs), broken);
      await world.store.recover({
        by: null,
        accountId: view.watch.accountId,
        endpointId: view.endpoint?.id ?? "",
        sinceMs: 0,
        untilMs: world.nowMs,
        nowMs: world.nowMs,
      });
      const head = only((await world.claim()).jobs);
      expect(head.event.type).toBe("call.queued");
      await world.record(head);
      expect(typesOf(await world.drain())).toEqual(["call.calling"]);
    });
  });
}

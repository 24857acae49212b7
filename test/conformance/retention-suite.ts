import { describe, expect, it } from "vitest";
import { answered, day, expectKind, hour, minute, only } from "../harness/store-drafts.ts";
import type { OpenWorld } from "./store-backend.ts";
import { worlds } from "./store-backend.ts";
import type { StoreBackend } from "./store-backend.ts";

/** Runs until nothing is left to delete; how much was. */
async function clean(world: OpenWorld, limit = 100): Promise<number> {
  let total = 0;
  for (;;) {
    const { deleted, more } = await world.store.deleteExpired({ beforeMs: world.nowMs - 30 * day, nowMs: world.nowMs, limit });
    total += deleted;
    if (!more) return total;
  }
}

export function retentionSuite(backend: StoreBackend): void {
  describe("retention", () => {
    const open = worlds(backend);

    it("deletes an ended watch with its events, its call and what only they used", async () => {
      const world = await open();
      const { view } = await world.watch("OUT-1");
      const { accountId, id: watchId, endpointId } = view.watch;
      const job = only((await world.see("OUT-1", "success")).jobs);
      await world.record(job);
      world.pass(30 * day);
      expect(await clean(world)).toBe(0);
      world.pass(1);
      expect(await clean(world)).toBeGreaterThan(0);
      expect(await world.store.getWatch(accountId, watchId)).toBeNull();
      expect(await world.store.getEvent(accountId, job.event.id)).toBeNull();
      expect(await world.store.getCall({ accountId, sourceName: "default", callSid: "OUT-1" })).toBeNull();
      expect(await world.store.getEndpoint(accountId, endpointId ?? "")).toBeNull();
      expect(await world.store.readStats()).toMatchObject({ watchesByStatus: { completed: 0 }, deliveriesByStatus: { delivered: 0 } });
      expect(await clean(world)).toBe(0);
    });

    it("keeps what is active, due, or still referred to", async () => {
      const world = await open({ scheduleMs: [0, 40 * day] });
      const { view } = await world.watch("OUT-1", { expiresAtMs: world.nowMs + 60 * day });
      await world.watch("OUT-1", { url: "https://due.example/", expiresAtMs: world.nowMs + 1 });
      const hook = await world.hook("https://hooks.example/", { events: ["watch.lost"] });
      world.pass(minute);
      const job = only((await world.commit("OUT-1", [{ kind: "expire" }], { confirmed: false })).jobs);
      await world.record(job, answered(500));
      world.pass(31 * day);
      expect(await clean(world)).toBe(0);
      expect(await world.store.getWatch(view.watch.accountId, view.watch.id)).not.toBeNull();
      expect(await world.store.getEndpoint(hook.view.accountId, hook.view.endpoint.id)).not.toBeNull();
      expect((await world.deliveryOf(job)).view.delivery.status).toBe("pending");
    });

    it("keeps a delivery with a pending manual attempt until that was made", async () => {
      const world = await open();
      const { view } = await world.watch("OUT-1");
      const { accountId } = view.watch;
      const job = only((await world.see("OUT-1", "success")).jobs);
      await world.record(job);
      const claimed = expectKind(
        await world.store.claimManualRetry({ by: null, accountId, deliveryId: job.deliveryId, nowMs: world.nowMs }),
        "claimed",
      );
      await world.release([claimed.job]);
      world.pass(31 * day);
      expect(await clean(world)).toBe(0);
      await world.record(only((await world.claim()).jobs));
      expect(await clean(world)).toBeGreaterThan(0);
    });

    it("expires what was pending at a disabled endpoint for the whole time; recovery requeues it", async () => {
      const world = await open();
      const { view } = await world.watch("OUT-1", { expiresAtMs: world.nowMs + 90 * day });
      const { accountId } = view.watch;
      const endpointId = view.endpoint?.id ?? "";
      await world.store.patchEndpoint({ by: null, accountId, endpointId, patch: { state: "disabled" }, nowMs: world.nowMs });
      await world.see("OUT-1", "queued");
      world.pass(10 * day);
      await world.see("OUT-1", "calling");
      world.pass(20 * day + hour);
      expect(await clean(world)).toBe(1);
      const { data } = await world.store.listDeliveries({ accountId, endpointId, watchId: null, status: null, limit: 10, cursor: null });
      expect(data.map(({ delivery }) => [delivery.eventType, delivery.status])).toEqual([
        ["call.calling", "pending"],
        ["call.queued", "expired"],
      ]);
      await world.store.patchEndpoint({ by: null, accountId, endpointId, patch: { state: "enabled" }, nowMs: world.nowMs });
      expect(await world.store.recover({ by: null, accountId, endpointId, sinceMs: 0, untilMs: world.nowMs, nowMs: world.nowMs })).toEqual({
        kind: "recovered",
        recovered: 1,
        hurried: 0,
        more: false,
      });
      expect((await world.drain()).map((job) => job.event.type)).toEqual(["call.queued", "call.calling"]);
    });

    it("expires what was pending at an endpoint that its client paused for the whole time, and what came later is sent in order", async () => {
      const world = await open();
      const { view } = await world.watch("OUT-1", { expiresAtMs: world.nowMs + 90 * day });
      const { accountId } = view.watch;
      const endpointId = view.endpoint?.id ?? "";
      const patch = (state: "paused" | "enabled") =>
        world.store.patchEndpoint({ by: null, accountId, endpointId, patch: { state }, nowMs: world.nowMs });
      await patch("paused");
      await world.see("OUT-1", "queued");
      await world.see("OUT-1", "calling");
      world.pass(10 * day);
      await world.see("OUT-1", "success");
      world.pass(20 * day);
      expect(await clean(world)).toBe(0);
      world.pass(hour);
      // One portion at a time.
      expect(await world.store.deleteExpired({ beforeMs: world.nowMs - 30 * day, nowMs: world.nowMs, limit: 1 })).toEqual({
        deleted: 1,
        more: true,
      });
      expect(await clean(world)).toBe(1);
      const { data } = await world.store.listDeliveries({ accountId, endpointId, watchId: null, status: null, limit: 10, cursor: null });
      expect(data.map(({ delivery }) => [delivery.eventType, delivery.status])).toEqual([
        ["call.success", "pending"],
        ["call.calling", "expired"],
        ["call.queued", "expired"],
      ]);
      await patch("enabled");
      expect((await world.drain()).map((job) => job.event.type)).toEqual(["call.success"]);
    });

    it("keeps what is older than the retention at an endpoint that was paused a moment ago, or pauses after a 429", async () => {
      const world = await open({ scheduleMs: [0, 40 * day, 40 * day] });
      const { view } = await world.watch("OUT-1", { expiresAtMs: world.nowMs + 90 * day });
      await world.watch("OUT-2", { url: "https://limited.example/", expiresAtMs: world.nowMs + 90 * day });
      await world.record(only((await world.see("OUT-1", "queued")).jobs), answered(500));
      const job = only((await world.see("OUT-2", "queued")).jobs);
      await world.record(job, answered(500));
      world.pass(31 * day);
      const { accountId } = view.watch;
      const retried = { by: null, accountId, deliveryId: job.deliveryId, nowMs: world.nowMs };
      await world.record(expectKind(await world.store.claimManualRetry(retried), "claimed").job, answered(429, "3600"));
      const endpointId = view.endpoint?.id ?? "";
      await world.store.patchEndpoint({ by: null, accountId, endpointId, patch: { state: "paused" }, nowMs: world.nowMs });
      expect(await clean(world)).toBe(0);
      world.pass(30 * day + hour);
      expect(await clean(world)).toBe(1);
    });

    it("goes in batches", async () => {
      const world = await open();
      for (let n = 0; n < 7; n++) {
        await world.watch(`OUT-${n}`, { url: `https://once.example/${n}` });
        for (const job of (await world.see(`OUT-${n}`, "success")).jobs) await world.record(job);
      }
      world.pass(31 * day);
      expect(await world.store.deleteExpired({ beforeMs: world.nowMs - 30 * day, nowMs: world.nowMs, limit: 3 })).toMatchObject({
        more: true,
      });
      await clean(world, 3);
      const { id: accountId } = await world.account();
      expect((await world.store.listWatches({ accountId, status: null, callSid: null, limit: 10, cursor: null })).data).toEqual([]);
      expect((await world.store.listEndpoints({ accountId, limit: 10, cursor: null })).data).toEqual([]);
    });

    it("passes over ended watches whose deliveries are pending, and deletes those behind them", async () => {
      const world = await open();
      const accountId = (await world.account()).id;
      for (let index = 0; index < 600; index++) {
        await world.watch(`OUT-${index}`, { url: "https://kept.example/" });
        await world.release((await world.see(`OUT-${index}`, "success")).jobs);
      }
      await world.watch("OUT-last", { url: "https://other.example/" });
      world.pass(1);
      await world.record(only((await world.see("OUT-last", "success")).jobs));
      const kept = (await world.store.listEndpoints({ accountId, limit: 50, cursor: null })).data.find(({ backlog }) => backlog > 0);
      const endpointId = kept?.endpoint.id ?? "";
      world.pass(day);
      await world.store.patchEndpoint({ by: null, accountId, endpointId, patch: { state: "paused" }, nowMs: world.nowMs });
      world.pass(30 * day - minute);
      // A round checks a page of ended watches, so the last one is reached by the second.
      await clean(world);
      await clean(world);
      expect((await world.store.readStats()).watchesByStatus).toMatchObject({ completed: 600 });
      expect((await world.store.readStats()).deliveriesByStatus).toMatchObject({ pending: 600, expired: 0 });
      world.pass(minute + 1);
      for (let round = 0; round < 20; round++) await clean(world);
      expect((await world.store.readStats()).watchesByStatus).toMatchObject({ completed: 0 });
      expect((await world.store.readStats()).deliveriesByStatus).toMatchObject({ pending: 0, expired: 0 });
    });
  });
}

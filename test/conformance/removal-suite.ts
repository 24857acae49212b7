import { describe, expect, it } from "vitest";
import { day, only } from "../harness/store-drafts.ts";
import { worlds } from "./store-backend.ts";
import type { StoreBackend } from "./store-backend.ts";

export function removalSuite(backend: StoreBackend): void {
  describe("removed watches", () => {
    const open = worlds(backend);

    it("cancels an active watch and its pending deliveries, and keeps its events", async () => {
      const world = await open();
      const { view } = await world.watch("OUT-1");
      const job = only((await world.see("OUT-1", "queued")).jobs);
      const { accountId, id: watchId } = view.watch;
      await world.release([job]);
      const removed = await world.store.removeWatch({ by: null, accountId, watchId, purge: false, nowMs: world.nowMs });
      expect(removed).toMatchObject({ kind: "removed", call: null, notices: [{ watchId, sequence: 1 }] });
      expect((await world.store.getWatch(accountId, watchId))?.watch).toMatchObject({ status: "canceled", endReason: "deleted" });
      expect((await world.deliveryOf(job)).view.delivery.status).toBe("canceled");
      expect((await world.claim()).jobs).toEqual([]);
      expect(await world.store.claimManualRetry({ by: null, accountId, deliveryId: job.deliveryId, nowMs: world.nowMs })).toEqual({
        kind: "watch_deleted",
      });
      expect((await world.store.listWatchEvents({ accountId, watchId, limit: 5, cursor: null }))?.data).toHaveLength(1);
    });

    it("leaves an ended watch its status, and sends nothing more for it", async () => {
      const world = await open();
      const { view } = await world.watch("OUT-1");
      const job = only((await world.see("OUT-1", "success")).jobs);
      await world.record(job, { kind: "failed", code: "reset", detail: "", statusCode: null, permanent: false });
      const { accountId, id: watchId } = view.watch;
      expect(await world.store.removeWatch({ by: null, accountId, watchId, purge: false, nowMs: world.nowMs })).toMatchObject({
        kind: "removed",
        notices: [],
      });
      expect((await world.store.getWatch(accountId, watchId))?.watch).toMatchObject({ status: "completed", endReason: null });
      world.pass(day);
      expect((await world.claim()).jobs).toEqual([]);
      expect(await world.store.claimManualRetry({ by: null, accountId, deliveryId: job.deliveryId, nowMs: world.nowMs })).toEqual({
        kind: "watch_deleted",
      });
    });

    it("erases a purged watch with its events; an attempt on the wire is not recorded", async () => {
      const world = await open();
      const { view } = await world.watch("OUT-1");
      const job = only((await world.see("OUT-1", "queued")).jobs);
      const { accountId, id: watchId } = view.watch;
      await world.store.removeWatch({ by: null, accountId, watchId, purge: true, nowMs: world.nowMs });
      expect(await world.attempt(job)).toEqual({ kind: "fenced" });
      expect(await world.store.getWatch(accountId, watchId)).toBeNull();
      expect(await world.store.getEvent(accountId, job.event.id)).toBeNull();
      expect(await world.store.getDelivery(accountId, job.deliveryId)).toBeNull();
      expect(await world.store.getCall({ accountId, sourceName: "default", callSid: "OUT-1" })).toBeNull();
      expect((await world.store.readStats()).watchesByStatus["active"]).toBe(0);
      expect((await world.store.readStats()).deliveriesByStatus["pending"]).toBe(0);
      await world.watch("OUT-1");
    });

    it("records an attempt that was on the wire, and leaves the delivery canceled", async () => {
      const world = await open();
      const { view } = await world.watch("OUT-1");
      const job = only((await world.see("OUT-1", "queued")).jobs);
      await world.store.removeWatch({
        by: null,
        accountId: view.watch.accountId,
        watchId: view.watch.id,
        purge: false,
        nowMs: world.nowMs,
      });
      expect((await world.record(job)).delivery.status).toBe("canceled");
      expect((await world.deliveryOf(job)).attempts).toHaveLength(1);
    });
  });
}

import { describe, expect, it } from "vitest";
import { StoreUnavailableError } from "../../src/domain/errors.ts";
import { minute, startMs } from "../harness/store-drafts.ts";
import { worlds } from "./store-backend.ts";
import type { StoreBackend } from "./store-backend.ts";

export function lifecycleSuite(backend: StoreBackend): void {
  describe("life", () => {
    const open = worlds(backend);

    it("pages the calls that are watched, with their deadlines", async () => {
      const world = await open();
      for (let n = 0; n < 5; n++) await world.watch(`OUT-${n}`, { expiresAtMs: startMs + minute + n });
      world.pass(1000);
      await world.watch("OUT-0", { url: "https://second.example/", expiresAtMs: startMs + 2 * minute });
      const first = await world.store.loadWatchedCalls({ afterCallId: null, limit: 3 });
      const rest = await world.store.loadWatchedCalls({ afterCallId: first[2]?.callId ?? null, limit: 3 });
      expect([...first, ...rest].map((call) => call.callSid)).toEqual(["OUT-0", "OUT-1", "OUT-2", "OUT-3", "OUT-4"]);
      expect(first[0]).toMatchObject({ youngestWatchAtMs: startMs + 1000, earliestDeadlineAtMs: startMs + minute, createdAtMs: startMs });
    });

    it("notes the last good poll when calls are given back", async () => {
      const world = await open();
      const { call, view } = await world.watch("OUT-1");
      await world.store.releaseCalls([{ callId: call?.callId ?? "", lastGoodPollAtMs: startMs + minute }], "balance");
      const { accountId } = view.watch;
      expect(await world.store.getCall({ accountId, sourceName: "default", callSid: "OUT-1" })).toMatchObject({
        status: { lastGoodPollAtMs: startMs + minute },
      });
    });

    it("counts for the metrics", async () => {
      const world = await open();
      await world.watch("OUT-1");
      await world.watch("OUT-2");
      await world.release((await world.see("OUT-1", "success")).jobs);
      expect(await world.store.readStats()).toMatchObject({
        watchesByStatus: { active: 1, completed: 1 },
        deliveriesByStatus: { pending: 1, delivered: 0 },
        oldestDueDeliveryAtMs: startMs,
      });
      await world.drain();
      expect(await world.store.readStats()).toMatchObject({
        deliveriesByStatus: { pending: 0, delivered: 1 },
        oldestDueDeliveryAtMs: null,
      });
    });

    it("counts endpoints by state for the metrics", async () => {
      const world = await open();
      const ids: string[] = [];
      for (const n of [1, 2, 3, 4])
        ids.push((await world.watch(`OUT-${n}`, { url: `https://r${n}.example/hook` })).view.watch.endpointId ?? "");
      const { id: accountId } = await world.account();
      for (const [n, state] of (["paused", "disabled", "disabled"] as const).entries())
        await world.store.patchEndpoint({ by: null, accountId, endpointId: ids[n] ?? "", patch: { state }, nowMs: world.nowMs });
      expect((await world.store.readStats()).endpointsByState).toEqual({ enabled: 1, paused: 1, disabled: 2 });
      await world.store.patchEndpoint({ by: null, accountId, endpointId: ids[1] ?? "", patch: { state: "enabled" }, nowMs: world.nowMs });
      expect((await world.store.readStats()).endpointsByState).toEqual({ enabled: 2, paused: 1, disabled: 1 });
    });

    it("can be asked whether it takes writes, and refuses everything once closed", async () => {
      const world = await open();
      await world.store.checkWritable();
      await world.store.close();
      await world.store.close();
      await expect(world.store.checkWritable()).rejects.toThrow(StoreUnavailableError);
    });

    it("has at the next start what was committed before", async () => {
      if (!backend.durable) return;
      const world = await open();
      const { view } = await world.watch("OUT-1");
      await world.see("OUT-1", "queued");
      await world.restart();
      expect((await world.store.loadWatchedCalls({ afterCallId: null, limit: 5 }))[0]).toMatchObject({
        callSid: "OUT-1",
        status: { status: "queued" },
      });
      expect((await world.store.getWatch(view.watch.accountId, view.watch.id))?.watch.sequence).toBe(1);
      expect((await world.see("OUT-1", "calling")).notices).toMatchObject([{ sequence: 2 }]);
    });
  });
}

import { describe, expect, it } from "vitest";
import { filterOfHook } from "../../src/domain/events/event-filter.ts";
import { whereFromJson } from "../../src/domain/events/where.ts";
import { expectKind, minute, only, second, startMs, typesOf } from "../harness/store-drafts.ts";
import { worlds } from "./store-backend.ts";
import type { StoreBackend } from "./store-backend.ts";

const hookUrl = "https://hooks.example/all";

export function hooksSuite(backend: StoreBackend): void {
  describe("hooks", () => {
    const open = worlds(backend);

    it("are found again by URL and events", async () => {
      const world = await open();
      const { view, showsGeneratedSecret } = await world.hook(hookUrl, { events: ["terminal", "call.queued"] });
      expect(showsGeneratedSecret).toBe(true);
      expect(view).toMatchObject({
        url: hookUrl,
        filter: { names: ["terminal", "call.queued"] },
        endpoint: { format: "flat", state: "enabled" },
      });
      const again = expectKind(await world.registerHook(hookUrl, { events: ["call.queued", "terminal"] }), "existing");
      expect(again.view.id).toBe(view.id);
      const other = await world.hook(hookUrl, { events: ["terminal"] });
      expect(other).toMatchObject({ showsGeneratedSecret: false, view: { endpoint: { id: view.endpoint.id } } });
      expect(await world.registerHook(hookUrl, { events: null, endpoint: { format: "form" } })).toMatchObject({
        kind: "endpoint_differs",
        fields: ["format"],
      });
    });

    it("are sent each transition once per call, through the oldest watch", async () => {
      const world = await open();
      await world.hook(hookUrl);
      const oldest = await world.watch("OUT-1", { url: null });
      const next = await world.watch("OUT-1", { url: "https://second.example/" });
      const queued = await world.see("OUT-1", "queued");
      expect(queued.jobs.map((job) => [job.target.url, job.event.data])).toMatchObject([
        [hookUrl, { watchId: oldest.view.watch.id }],
        ["https://second.example/", { watchId: next.view.watch.id }],
      ]);
      await world.drain();
      for (const job of queued.jobs) await world.record(job);
      // With the oldest gone the next takes over, with its own sequence, and no event is sent twice.
      await world.store.removeWatch({
        by: null,
        accountId: oldest.view.watch.accountId,
        watchId: oldest.view.watch.id,
        purge: false,
        nowMs: world.nowMs,
      });
      expect((await world.commit("OUT-1", [])).jobs).toEqual([]);
      const calling = await world.see("OUT-1", "calling");
      expect(calling.jobs.map((job) => [job.target.url, job.event.data])).toMatchObject([
        ["https://second.example/", { watchId: next.view.watch.id, sequence: 2 }],
        [hookUrl, { watchId: next.view.watch.id, sequence: 2 }],
      ]);
    });

    it("are not sent again what they were sent through another watch", async () => {
      const world = await open();
      await world.hook(hookUrl);
      const first = await world.watch("OUT-1", { url: null });
      await world.see("OUT-1", "calling");
      await world.store.removeWatch({
        by: null,
        accountId: first.view.watch.accountId,
        watchId: first.view.watch.id,
        purge: false,
        nowMs: world.nowMs,
      });
      const again = await world.watch("OUT-1", { url: "https://second.example/", polledAtMs: world.nowMs });
      expect(again.jobs.map((job) => job.target.url)).toEqual(["https://second.example/"]);
    });

    it("are not sent a status again after its watches were lost", async () => {
      const world = await open();
      await world.hook(hookUrl, { events: ["call.*"] });
      await world.watch("OUT-1", { url: null });
      await world.see("OUT-1", "calling");
      await world.commit("OUT-1", [{ kind: "end", endReason: "lost", spares: null }]);
      const again = await world.watch("OUT-1", { url: "https://second.example/", polledAtMs: world.nowMs });
      expect(again.jobs.map((job) => job.target.url)).toEqual(["https://second.example/"]);
    });

    it("are sent the last status if they came after it", async () => {
      const world = await open();
      const first = await world.watch("OUT-1");
      await world.see("OUT-1", "calling");
      await world.store.removeWatch({
        by: null,
        accountId: first.view.watch.accountId,
        watchId: first.view.watch.id,
        purge: false,
        nowMs: world.nowMs,
      });
      await world.hook(hookUrl);
      const again = await world.watch("OUT-1", { url: null, polledAtMs: world.nowMs });
      expect(again.jobs.map((job) => job.target.url)).toEqual([hookUrl]);
    });

    it("get what their conditions allow, decided once on the event of the oldest watch", async () => {
      const world = await open();
      const wish = { filter: filterOfHook(["call.*"], whereFromJson({ "metadata.team": "north" })) };
      const { view } = await world.hook(hookUrl, wish);
      expect(view.filter).toEqual(wish.filter);
      expect(expectKind(await world.registerHook(hookUrl, wish), "existing").view.id).toBe(view.id);
      expectKind(await world.registerHook(hookUrl, { events: ["call.*"] }), "created");
      await world.store.removeHook({
        by: null,
        accountId: view.accountId,
        hookId: expectKind(await world.registerHook(hookUrl, { events: ["call.*"] }), "existing").view.id,
        nowMs: world.nowMs,
      });
      const south = await world.watch("OUT-1", { url: null, metadata: { team: "south" } });
      const other = "https://other.example/";
      await world.watch("OUT-1", { url: other, metadata: { team: "north" } });
      await world.watch("OUT-2", { url: null, metadata: { team: "north" } });
      const queued = await world.see("OUT-1", "queued");
      expect(queued.jobs.map((job) => job.target.url)).toEqual([other]);
      for (const job of queued.jobs) await world.record(job);
      expect((await world.see("OUT-2", "queued")).jobs.map((job) => job.target.url)).toEqual([hookUrl]);
      // What the oldest watch decided is not decided again by the next.
      await world.store.removeWatch({
        by: null,
        accountId: view.accountId,
        watchId: south.view.watch.id,
        purge: false,
        nowMs: world.nowMs,
      });
      expect((await world.commit("OUT-1", [])).jobs).toEqual([]);
      expect((await world.see("OUT-1", "calling")).jobs.map((job) => job.target.url)).toEqual([other, hookUrl]);
    });

    it("refuse a transition through their conditions once, also if a later watch would pass them", async () => {
      const world = await open();
      await world.hook(hookUrl, { filter: filterOfHook(null, whereFromJson({ "metadata.team": "north" })) });
      const south = await world.watch("OUT-1", { url: null });
      await world.see("OUT-1", "calling");
      const accountId = south.view.watch.accountId;
      await world.store.removeWatch({ by: null, accountId, watchId: south.view.watch.id, purge: false, nowMs: world.nowMs });
      const north = await world.watch("OUT-1", { url: null, metadata: { team: "north" }, polledAtMs: world.nowMs });
      expect(north.notices).toHaveLength(1);
      expect(north.jobs).toEqual([]);
    });

    it("keep for a hook what its conditions allow when another hook of its URL is removed", async () => {
      const world = await open();
      const all = await world.hook(hookUrl);
      await world.hook(hookUrl, { filter: filterOfHook(null, whereFromJson({ "metadata.team": "north" })) });
      await world.watch("OUT-1", { url: null, metadata: { team: "north" } });
      await world.watch("OUT-2", { url: null, metadata: { team: "south" } });
      const jobs = [...(await world.see("OUT-1", "queued")).jobs, ...(await world.see("OUT-2", "queued")).jobs];
      await world.release(jobs);
      await world.store.removeHook({ by: null, accountId: all.view.accountId, hookId: all.view.id, nowMs: world.nowMs });
      const statuses = await Promise.all(jobs.map(async (job) => (await world.deliveryOf(job)).view.delivery.status));
      expect(statuses).toEqual(["pending", "canceled"]);
    });

    it("get exactly what their filter names", async () => {
      const world = await open();
      await world.hook("https://a.example/", { events: ["call.success"] });
      await world.hook("https://b.example/", { events: ["watch.*"] });
      await world.hook("https://c.example/", { events: ["terminal"] });
      await world.watch("OUT-1", { url: null });
      await world.watch("OUT-2", { url: null });
      expect((await world.see("OUT-1", "queued")).jobs).toEqual([]);
      expect((await world.see("OUT-1", "success")).jobs.map((job) => job.target.url).toSorted()).toEqual([
        "https://a.example/",
        "https://c.example/",
      ]);
      const lost = await world.commit("OUT-2", [{ kind: "end", endReason: "not_found", spares: null }], { confirmed: false });
      expect(lost.jobs.map((job) => job.target.url).toSorted()).toEqual(["https://b.example/", "https://c.example/"]);
    });

    it("share an endpoint with a watch of the same URL: one event, one delivery", async () => {
      const world = await open();
      const hook = await world.hook(hookUrl);
      const watch = await world.watch("OUT-1", { url: hookUrl });
      expect(watch.view.endpoint?.id).toBe(hook.view.endpoint.id);
      expect((await world.see("OUT-1", "queued")).jobs).toHaveLength(1);
    });

    it("belong to their account", async () => {
      const world = await open();
      const other = await world.account("other");
      await world.hook(hookUrl);
      await world.hook("https://theirs.example/", { accountId: other.id });
      await world.watch("OUT-1");
      await world.watch("OUT-1", { accountId: other.id, url: null });
      const { jobs } = await world.see("OUT-1", "queued");
      expect(jobs.map((job) => [job.event.accountId === other.id, job.target.url]).toSorted()).toEqual(
        [
          [false, hookUrl],
          [false, "https://receiver.example/hook"],
          [true, "https://theirs.example/"],
        ].toSorted(),
      );
    });

    it("hear of an expiry only when nothing of the account watches the call any more", async () => {
      const world = await open();
      await world.hook(hookUrl, { events: ["watch.expired"] });
      await world.watch("OUT-1", { url: "https://a.example/", expiresAtMs: startMs + second });
      await world.watch("OUT-1", { url: "https://b.example/", expiresAtMs: startMs + 2 * second });
      world.pass(second);
      const first = await world.commit("OUT-1", [{ kind: "expire" }], { confirmed: false });
      expect(first.jobs.map((job) => job.target.url)).toEqual(["https://a.example/"]);
      world.pass(second);
      const last = await world.commit("OUT-1", [{ kind: "expire" }], { confirmed: false });
      expect(last.jobs.map((job) => job.target.url)).toEqual(["https://b.example/", hookUrl]);
    });

    it("removed: deliveries for it alone are canceled", async () => {
      const world = await open();
      const { view } = await world.hook(hookUrl, { events: null });
      const watch = await world.watch("OUT-1", { url: hookUrl, events: ["terminal"] });
      await world.watch("OUT-2", { url: null });
      const toHook = [...(await world.see("OUT-1", "queued")).jobs, ...(await world.see("OUT-2", "queued")).jobs];
      const [ownEnd] = (await world.see("OUT-1", "success")).notices;
      await world.release(toHook);
      expect(await world.store.removeHook({ by: null, accountId: view.accountId, hookId: view.id, nowMs: world.nowMs })).toEqual({
        endpointId: view.endpoint.id,
        canceledLeased: [],
      });
      for (const job of toHook) expect((await world.deliveryOf(job)).view.delivery.status).toBe("canceled");
      // The watch had asked for its end by itself; what stood before it in the lane is gone.
      expect(ownEnd).toMatchObject({ watchId: watch.view.watch.id, eventType: "call.success" });
      expect(typesOf(await world.drain())).toEqual(["call.success"]);
      expect(await world.store.removeHook({ by: null, accountId: view.accountId, hookId: view.id, nowMs: world.nowMs })).toEqual({
        endpointId: null,
        canceledLeased: [],
      });
      expect(await world.store.getHook(view.accountId, view.id)).toBeNull();
    });

    it("removed: says what of it is leased, which must not be sent any more", async () => {
      const world = await open();
      const { view } = await world.hook(hookUrl, { events: null });
      await world.watch("OUT-1", { url: null });
      const job = only((await world.see("OUT-1", "queued")).jobs);
      const removed = await world.store.removeHook({ by: null, accountId: view.accountId, hookId: view.id, nowMs: world.nowMs });
      expect(removed.canceledLeased).toEqual([job.deliveryId]);
    });

    it("removed: deliveries for another hook with the URL stay pending", async () => {
      const world = await open();
      const { view } = await world.hook(hookUrl, { events: ["call.queued"] });
      await world.hook(hookUrl, { events: ["call.*"] });
      await world.watch("OUT-1", { url: null });
      const job = only((await world.see("OUT-1", "queued")).jobs);
      await world.store.removeHook({ by: null, accountId: view.accountId, hookId: view.id, nowMs: world.nowMs });
      expect((await world.deliveryOf(job)).view.delivery.status).toBe("pending");
    });

    it("hear of a source's trouble when they name it", async () => {
      const world = await open();
      await world.hook(hookUrl, { events: null });
      await world.hook("https://ops.example/", { events: ["source.suspended"] });
      const { jobs, notices } = await world.store.publishSourceEvent({
        type: "source.suspended",
        sourceName: "default",
        state: "suspended",
        reason: "unauthorized",
        nowMs: world.nowMs + minute,
        afterAccountId: null,
        limit: 100,
      });
      expect(jobs.map((job) => job.target.url)).toEqual(["https://ops.example/"]);
      const notice = { watchId: null, callSid: null, sequence: null, eventType: "source.suspended" };
      expect(notices).toEqual([{ accountId: (await world.account()).id, ...notice }]);
      expect(only(jobs).event.data).toEqual({
        endpointId: null,
        deliveryId: null,
        hookIds: null,
        source: "default",
        state: "suspended",
        reason: "unauthorized",
        placingId: null,
        keyId: null,
        subjectWatchId: null,
        subjectCallSid: null,
        metadata: null,
        idempotencyKey: null,
        observedAtMs: startMs + minute,
      });
    });
  });
}

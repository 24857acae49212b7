import { describe, expect, it } from "vitest";
import { replayableForMs } from "../../src/domain/calls/watch.ts";
import { day, expectKind, minute, noQuotas, only, placingDraft, secretDraft, startMs, typesOf } from "../harness/store-drafts.ts";
import type { Account } from "../../src/ports/stores/account-store.ts";
import { worlds } from "./store-backend.ts";
import type { StoreBackend } from "./store-backend.ts";

const url = "https://receiver.example/hook";
const templateOf = (body: string) => `{"method":"POST","content_type":"application/json","body":${body}}`;

export function registrationSuite(backend: StoreBackend): void {
  describe("registrations", () => {
    const open = worlds(backend);

    it("makes a watch, its call and its endpoint", async () => {
      const world = await open();
      const created = await world.watch("OUT-1", { metadata: { lead: "7" }, events: ["terminal"] });
      expect(created.showsGeneratedSecret).toBe(true);
      expect(created.view).toMatchObject({
        watch: {
          callSid: "OUT-1",
          callbackUrl: url,
          status: "active",
          endReason: null,
          sequence: 0,
          metadata: { lead: "7" },
          filter: { names: ["terminal"] },
        },
        call: { status: null, reason: "", details: null, terminal: false, observedAtMs: null, lastGoodPollAtMs: null },
        endpoint: { state: "enabled", format: "standard", pausedUntilMs: null },
        pendingDeliveries: 0,
      });
      expect(created.call).toMatchObject({
        callSid: "OUT-1",
        sourceName: "default",
        version: 1,
        needsFirstEvent: false,
        createdAtMs: startMs,
      });
      expect([...created.jobs, ...created.notices]).toEqual([]);
    });

    it("finds an active watch of the same call and URL again", async () => {
      const world = await open();
      const first = await world.watch("OUT-1");
      const again = expectKind(await world.register("OUT-1"), "existing");
      expect(again.view.watch.id).toBe(first.view.watch.id);
    });

    it("finds a completed watch again for 24 hours", async () => {
      const world = await open();
      const first = await world.watch("OUT-1");
      await world.see("OUT-1", "success");
      world.pass(replayableForMs - 1);
      expect(expectKind(await world.register("OUT-1"), "existing").view.watch.id).toBe(first.view.watch.id);
      world.pass(1);
      const second = await world.watch("OUT-1");
      expect(second.view.watch).toMatchObject({ status: "completed", sequence: 1 });
      expect(second.call).toBeNull();
    });

    it("makes a new watch after any other end", async () => {
      const world = await open();
      const first = await world.watch("OUT-1");
      await world.commit("OUT-1", [{ kind: "end", endReason: "lost", spares: null }], { confirmed: false });
      expect((await world.watch("OUT-1")).view.watch.id).not.toBe(first.view.watch.id);
    });

    it("names the watch that differs, and in what", async () => {
      const world = await open();
      const { view } = await world.watch("OUT-1", { events: ["terminal", "call.queued"], metadata: { a: "1" } });
      expect(await world.register("OUT-1", { events: ["call.queued", "terminal"], metadata: { a: "1" } })).toMatchObject({
        kind: "existing",
      });
      expect(await world.register("OUT-1", { metadata: { a: "2" } })).toEqual({
        kind: "watch_differs",
        watchId: view.watch.id,
        fields: ["events", "metadata"],
      });
    });

    it("keeps the template of an endpoint, and refuses another", async () => {
      const world = await open();
      const endpoint = { format: "template", request: templateOf('{"a":"{{type}}","b":1}') } as const;
      expect(await world.registerHook(url, { endpoint })).toMatchObject({ kind: "created", view: { endpoint } });
      const watched = (callSid: string, draft: object) => world.register(callSid, { endpoint: draft });
      const same = { ...endpoint, request: templateOf('{"b":1,"a":"{{type}}"}') };
      expect(await watched("OUT-1", same)).toMatchObject({ kind: "created", view: { endpoint } });
      expect(await watched("OUT-2", {})).toMatchObject({ kind: "created", view: { endpoint } });
      expect(await watched("OUT-3", { ...endpoint, request: templateOf("2") })).toMatchObject({ fields: ["request"] });
      const { jobs } = await world.see("OUT-1", "queued");
      for (const job of jobs) expect(job.target).toMatchObject(endpoint);
      expect(jobs).not.toEqual([]);
    });

    it("refuses what was given and differs from the endpoint, and takes what was left out", async () => {
      const world = await open();
      const headers = { names: ["x-key"], sealed: new Uint8Array([9]), fingerprints: ["new key", "old key"] };
      const made = await world.watch("OUT-1", { endpoint: { format: "flat", headers, givenSecret: secretDraft("mine") } });
      expect(made.showsGeneratedSecret).toBe(false);
      const same = { format: "flat", headers: { ...headers, fingerprints: ["new key"] }, givenSecret: secretDraft("mine") } as const;
      expect(await world.register("OUT-2", { endpoint: same })).toMatchObject({ kind: "created", showsGeneratedSecret: false });
      expect(await world.register("OUT-3")).toMatchObject({ kind: "created" });
      const other = { format: "form", headers: { ...headers, fingerprints: ["another"] }, givenSecret: secretDraft("yours") } as const;
      expect(await world.register("OUT-4", { endpoint: other })).toEqual({
        kind: "endpoint_differs",
        endpointId: made.view.endpoint?.id,
        fields: ["format", "headers", "signing_secret"],
      });
      expect(await world.register("OUT-4", { endpoint: { format: "template", request: templateOf("1") } })).toMatchObject({
        fields: ["format", "request"],
      });
      expect(
        (await world.store.listWatches({ accountId: (await world.account()).id, status: null, callSid: "OUT-4", limit: 5, cursor: null }))
          .data,
      ).toEqual([]);
    });

    it("signs new endpoints with the account's default secret", async () => {
      const world = await open();
      const { id: accountId } = await world.account();
      const secret = secretDraft("default");
      await world.store.setDefaultSecret({ by: null, accountId, secret, nowMs: world.nowMs });
      for (const sid of ["OUT-1", "OUT-2"]) {
        expect((await world.watch(sid, { url: `${url}/${sid}` })).showsGeneratedSecret).toBe(false);
        const job = only((await world.see(sid, "queued")).jobs);
        expect(job.target.secrets.map(({ id }) => id)).toEqual([secret.id]);
        await world.record(job);
      }
      // The one before serves those that were made with it.
      await world.store.setDefaultSecret({ by: null, accountId, secret: secretDraft("newer"), nowMs: world.nowMs });
      expect(only((await world.see("OUT-1", "success")).jobs.map((job) => job.target.secrets.length))).toBe(1);
    });

    it("refuse a watch whose callback URL was left out unless the account has a hook", async () => {
      const world = await open();
      const leftOut = { url: null, needsHook: true };
      expect(await world.register("OUT-1", leftOut)).toEqual({ kind: "callback_required" });
      await world.hook("https://hooks.example/a");
      const { view } = await world.watch("OUT-1", leftOut);
      expect(view).toMatchObject({ endpoint: null, watch: { callbackUrl: null, endpointId: null } });
    });

    it("accept a watch of an account that reads the feed, without a hook", async () => {
      const world = await open();
      const { view } = await world.watch("OUT-1", { url: null });
      expect(view).toMatchObject({ endpoint: null, watch: { callbackUrl: null, endpointId: null } });
      const accountId = (await world.account()).id;
      const place = (needsHook: boolean) => world.store.createPlacing(placingDraft(accountId, world.nowMs, { endpoint: null, needsHook }));
      expect(await place(true)).toEqual({ kind: "callback_required" });
      expect(await place(false)).toEqual({ kind: "created" });
    });

    it("keep the quota of an account on one call, in a batch too, and count what is active", async () => {
      const world = await open();
      const other = await world.account("second");
      const quotas = { ...noQuotas, maxWatchesPerCall: 2 };
      const draft = (n: number, callSid = "OUT-1") => world.watchDraft(callSid, { url: `https://r${n}.example/`, quotas });
      const exceeded = { kind: "quota_exceeded", quota: "maxWatchesPerCall", limit: 2 };
      // A call that the same batch makes counts as one that was there.
      const batch = await world.store.registerWatches([
        await draft(1),
        await draft(2),
        await draft(3),
        await draft(1),
        await draft(3, "OUT-2"),
      ]);
      expect(batch).toMatchObject([{ kind: "created" }, { kind: "created" }, exceeded, { kind: "existing" }, { kind: "created" }]);
      expect(await world.store.registerWatches([await draft(3), await draft(2)])).toMatchObject([exceeded, { kind: "existing" }]);
      expect((await world.watch("OUT-1", { accountId: other.id, quotas })).view.watch.status).toBe("active");
      const { watch } = expectKind(batch[0] ?? { kind: "callback_required" }, "created").view;
      await world.store.removeWatch({ by: null, accountId: watch.accountId, watchId: watch.id, purge: false, nowMs: world.nowMs });
      const refilled = await world.store.registerWatches([await draft(3), await draft(4)]);
      expect(refilled).toMatchObject([{ kind: "created" }, exceeded]);
    });

    it("keeps to the quotas, within a batch too, and lets repeats and freed places through", async () => {
      const world = await open();
      const quotas = { maxActiveWatches: 2, maxWatchesPerCall: 0, maxEndpoints: 2, maxHooks: 1 };
      const drafts = [];
      for (const sid of ["OUT-1", "OUT-2", "OUT-1", "OUT-3"]) drafts.push(await world.watchDraft(sid, { quotas }));
      const results = await world.store.registerWatches(drafts);
      expect(results.map(({ kind }) => kind)).toEqual(["created", "created", "existing", "quota_exceeded"]);
      expect(results[3]).toEqual({ kind: "quota_exceeded", quota: "maxActiveWatches", limit: 2 });
      const first = expectKind(results[0] ?? { kind: "callback_required" }, "created");
      await world.store.removeWatch({
        by: null,
        accountId: (await world.account()).id,
        watchId: first.view.watch.id,
        purge: false,
        nowMs: world.nowMs,
      });
      await world.watch("OUT-3", { quotas });
      const free = { ...noQuotas, maxEndpoints: 2 };
      await world.watch("OUT-4", { quotas: free, url: "https://other.example/" });
      expect(await world.register("OUT-5", { quotas: free, url: "https://third.example/" })).toMatchObject({
        kind: "quota_exceeded",
        quota: "maxEndpoints",
      });
      await world.watch("OUT-5", { quotas: free });
      await world.hook("https://other.example/", { quotas });
      expect(await world.registerHook("https://other.example/", { quotas, events: ["terminal"] })).toMatchObject({
        kind: "quota_exceeded",
        quota: "maxHooks",
        limit: 1,
      });
      expect(await world.registerHook("https://other.example/", { quotas })).toMatchObject({ kind: "existing" });
    });

    it("keeps accounts apart", async () => {
      const world = await open();
      const other = await world.account("other");
      const mine = await world.watch("OUT-1");
      const theirs = await world.watch("OUT-1", { accountId: other.id });
      expect(theirs.view.endpoint?.id).not.toBe(mine.view.endpoint?.id);
      expect(await world.store.getWatch(other.id, mine.view.watch.id)).toBeNull();
      expect(
        await world.store.removeWatch({ by: null, accountId: other.id, watchId: mine.view.watch.id, purge: true, nowMs: world.nowMs }),
      ).toEqual({
        kind: "unknown",
      });
      // One call, polled for both; the oldest watch says whose turn it is.
      expect(theirs.call).toMatchObject({ callId: mine.call?.callId, accountId: mine.view.watch.accountId });
      const removed = await world.store.removeWatch({
        by: null,
        accountId: (await world.account()).id,
        watchId: mine.view.watch.id,
        purge: false,
        nowMs: world.nowMs,
      });
      expect(removed).toMatchObject({ kind: "removed", call: { accountId: other.id } });
    });

    describe("a call that is known", () => {
      it("sends the end at once and completes the watch", async () => {
        const world = await open();
        await world.watch("OUT-1");
        await world.see("OUT-1", "success", "answered");
        const observedAtMs = world.nowMs;
        world.pass(day - minute);
        const late = await world.watch("OUT-1", { url: "https://late.example/" });
        expect(late.call).toBeNull();
        expect(late.view.watch).toMatchObject({ status: "completed", sequence: 1, endedAtMs: world.nowMs });
        expect(only(late.jobs).event).toMatchObject({
          type: "call.success",
          timestampMs: observedAtMs,
          data: {
            status: "success",
            previousStatus: null,
            reason: "answered",
            terminal: true,
            sequence: 1,
            observedAtMs,
            observedAfterMs: null,
          },
        });
        expect(late.notices).toMatchObject([{ watchId: late.view.watch.id, sequence: 1, eventType: "call.success" }]);
      });

      it("sends a status polled within the last minute at once", async () => {
        const world = await open();
        await world.watch("OUT-1");
        await world.see("OUT-1", "calling");
        world.pass(minute);
        const late = await world.watch("OUT-1", { url: "https://late.example/", polledAtMs: world.nowMs - minute });
        expect(typesOf(late.jobs)).toEqual(["call.calling"]);
        expect(late.call).toMatchObject({ needsFirstEvent: false });
      });

      it("leaves an older status to the next good poll", async () => {
        const world = await open();
        await world.watch("OUT-1");
        await world.see("OUT-1", "calling");
        world.pass(minute + 1);
        const needsFirstEvent = await world.watch("OUT-1", { url: "https://late.example/", polledAtMs: startMs });
        expect(needsFirstEvent).toMatchObject({ jobs: [], call: { needsFirstEvent: true } });
        const confirmed = await world.commit("OUT-1", []);
        expect(only(confirmed.jobs).event).toMatchObject({
          type: "call.calling",
          timestampMs: startMs,
          data: { sequence: 1, previousStatus: null },
        });
        expect(confirmed.call).toMatchObject({ needsFirstEvent: false });
        expect(await world.commit("OUT-1", [])).toMatchObject({ jobs: [] });
      });

      it("polls on where every watch had ended without a terminal status", async () => {
        const world = await open();
        await world.watch("OUT-1");
        await world.see("OUT-1", "calling");
        expect((await world.commit("OUT-1", [{ kind: "end", endReason: "lost", spares: null }], { confirmed: false })).call).toBeNull();
        world.pass(hour3);
        const again = await world.watch("OUT-1");
        expect(again.call).toMatchObject({ needsFirstEvent: true, status: { status: "calling" } });
        expect(typesOf((await world.see("OUT-1", "success")).jobs)).toEqual(["call.success"]);
      });

      it("keeps scripted calls of one SID apart by account: one's end and new life touch no other", async () => {
        const world = await open();
        const [mine, other] = [await world.account(), await world.account("other")];
        const watch = async ({ id }: Account) =>
          world.watch("OUT-sandbox-success", { accountId: id, sourceName: "sandbox", scope: id, restartsEndedCall: true });
        const others = await watch(other);
        const ended = await watch(mine);
        expect(ended.call?.callId).not.toBe(others.call?.callId);
        expect((await world.see("OUT-sandbox-success", "success")).jobs.map(({ event }) => event.accountId)).toEqual([mine.id]);
        world.pass(replayableForMs);
        expect((await watch(mine)).call?.status).toMatchObject({ status: null, terminal: false });
        const shown = await world.store.getWatch(other.id, others.view.watch.id);
        expect(shown).toMatchObject({ watch: { status: "active", sequence: 0 }, call: { status: null } });
        expect(await world.store.getCall({ accountId: other.id, sourceName: "sandbox", callSid: "OUT-sandbox-success" })).toMatchObject({
          status: { status: null },
        });
      });

      it("starts a scripted call again with the first watch after its end", async () => {
        const world = await open();
        const { id: scope } = await world.account();
        const wish = { sourceName: "sandbox", scope, restartsEndedCall: true };
        await world.watch("OUT-sandbox-success", wish);
        const { call } = await world.see("OUT-sandbox-success", "success");
        expect(call).toBeNull();
        world.pass(replayableForMs);
        const again = await world.watch("OUT-sandbox-success", wish);
        expect(again).toMatchObject({ jobs: [], call: { needsFirstEvent: false, status: { status: null, terminal: false } } });
        expect(typesOf((await world.see("OUT-sandbox-success", "queued")).jobs)).toEqual(["call.queued"]);
      });
    });
  });
}

const hour3 = 3 * 60 * minute;

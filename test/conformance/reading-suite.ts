import { describe, expect, it } from "vitest";
import type { AttemptOutcome } from "../../src/domain/deliveries/attempt.ts";
import { CursorInvalidError } from "../../src/domain/errors.ts";
import type { FeedQuery } from "../../src/ports/stores/read-store.ts";
import type { SendJob } from "../../src/ports/stores/send-job.ts";
import { answered, expectKind, hour, ok, only, startMs } from "../harness/store-drafts.ts";
import { worlds } from "./store-backend.ts";
import type { StoreBackend } from "./store-backend.ts";

export function readingSuite(backend: StoreBackend): void {
  describe("reading", () => {
    const open = worlds(backend);
    const everything = { limit: 50, cursor: null, sinceMs: null, types: null, orTerminal: false, callSid: null };

    it("pages watches newest first, stable under inserts", async () => {
      const world = await open();
      const { id: accountId } = await world.account();
      for (let n = 0; n < 5; n++) await world.watch(`OUT-${n}`);
      const query = { accountId, status: null, callSid: null, limit: 2 };
      const first = await world.store.listWatches({ ...query, cursor: null });
      await world.watch("OUT-new");
      const second = await world.store.listWatches({ ...query, cursor: first.nextCursor });
      const third = await world.store.listWatches({ ...query, cursor: second.nextCursor });
      expect([first, second, third].map((page) => page.data.map((view) => view.watch.callSid))).toEqual([
        ["OUT-4", "OUT-3"],
        ["OUT-2", "OUT-1"],
        ["OUT-0"],
      ]);
      expect(third.nextCursor).toBeNull();
    });

    it("filters watches by status and call", async () => {
      const world = await open();
      const { id: accountId } = await world.account();
      for (const sid of ["OUT-1", "OUT-2"]) await world.watch(sid);
      await world.see("OUT-1", "success");
      const list = (status: "active" | "completed" | null, callSid: string | null) =>
        world.store
          .listWatches({ accountId, status, callSid, limit: 10, cursor: null })
          .then((page) => page.data.map((view) => view.watch.callSid));
      expect(await list("completed", null)).toEqual(["OUT-1"]);
      expect(await list(null, "OUT-2")).toEqual(["OUT-2"]);
      expect(await list("completed", "OUT-2")).toEqual([]);
    });

    it.each(["", "x", "bm90IGEgY3Vyc29y", "d2NoXzE=", "d2NoXzE;drop"])("refuses the cursor %j that no list made", async (cursor) => {
      const world = await open();
      const { id: accountId } = await world.account();
      await expect(world.store.listWatches({ accountId, status: null, callSid: null, limit: 2, cursor })).rejects.toThrow(
        CursorInvalidError,
      );
      await expect(world.store.readFeed({ accountId, ...everything, cursor })).rejects.toThrow(CursorInvalidError);
    });

    it("shows an event with its deliveries", async () => {
      const world = await open();
      await world.hook("https://hooks.example/");
      const { view } = await world.watch("OUT-1");
      const { jobs } = await world.see("OUT-1", "queued");
      const [job] = jobs;
      if (job === undefined) throw new Error("expected two jobs");
      await world.record(job, answered(500));
      const { accountId } = view.watch;
      const event = await world.store.getEvent(accountId, job.event.id);
      expect(event?.event).toEqual(job.event);
      expect(event?.deliveries.map(({ status, attemptCount }) => [status, attemptCount]).toSorted()).toEqual([
        ["pending", 0],
        ["pending", 1],
      ]);
      expect(await world.store.getEvent((await world.account("other")).id, job.event.id)).toBeNull();
      expect((await world.store.getWatch(accountId, view.watch.id))?.pendingDeliveries).toBe(2);
      const found = await world.store.listDeliveries({
        accountId,
        endpointId: job.target.id,
        watchId: view.watch.id,
        status: "pending",
        limit: 10,
        cursor: null,
      });
      expect(only(found.data)).toMatchObject({
        delivery: { id: job.deliveryId, eventType: "call.queued", callSid: "OUT-1" },
        endpoint: { state: "enabled" },
      });
    });

    it("shows a delivery with its newest attempt, in lists and alone", async () => {
      const world = await open();
      const { id: accountId } = await world.account();
      const seen: { job: SendJob; outcomes: readonly AttemptOutcome[] }[] = [];
      for (const outcomes of [[], [ok], [answered(500), answered(404)], [answered(503), ok]]) {
        const callSid = `OUT-${seen.length}`;
        await world.watch(callSid, { url: `https://receiver.example/${seen.length}` });
        seen.push({ job: only((await world.see(callSid, "queued")).jobs), outcomes });
      }
      for (const { job, outcomes } of seen) {
        const [first, second] = outcomes;
        if (first !== undefined) await world.record(job, first);
        if (second === undefined) continue;
        world.pass(hour);
        const { deliveryId } = job;
        const retry = await world.store.claimManualRetry({ by: null, accountId, deliveryId, nowMs: world.nowMs });
        await world.record(expectKind(retry, "claimed").job, second);
      }
      const query = { accountId, endpointId: null, watchId: null, status: null, limit: 10, cursor: null };
      const { data } = await world.store.listDeliveries(query);
      expect(data.map(({ lastAttempt }) => lastAttempt?.statusCode ?? null)).toEqual([200, 404, 200, null]);
      expect(data.map(({ lastAttempt }) => lastAttempt?.error?.code ?? null)).toEqual([null, "status", null, null]);
      for (const view of data) {
        const alone = await world.store.getDelivery(accountId, view.delivery.id);
        expect(alone?.view.lastAttempt).toEqual(view.lastAttempt);
        const { statusCode, error, startedAtMs } = alone?.attempts.at(-1) ?? {};
        expect(view.lastAttempt).toEqual(statusCode === undefined ? null : { statusCode, error, startedAtMs });
      }
    });

    it("pages a watch's events by sequence", async () => {
      const world = await open();
      const { view } = await world.watch("OUT-1");
      const { accountId, id: watchId } = view.watch;
      for (const status of ["queued", "calling", "success"]) await world.see("OUT-1", status);
      const first = await world.store.listWatchEvents({ accountId, watchId, limit: 2, cursor: null });
      const rest = await world.store.listWatchEvents({ accountId, watchId, limit: 2, cursor: first?.nextCursor ?? null });
      expect([...(first?.data ?? []), ...(rest?.data ?? [])].map(({ event }) => event.type)).toEqual([
        "call.queued",
        "call.calling",
        "call.success",
      ]);
      expect(rest?.nextCursor).toBeNull();
      expect(await world.store.listWatchEvents({ accountId, watchId: "wch_unknown", limit: 2, cursor: null })).toBeNull();
    });

    it("shows the first deliveries of each event of a watch, and counts all", async () => {
      const world = await open();
      for (const name of ["a", "b", "c"]) await world.hook(`https://${name}.example/`);
      const { view } = await world.watch("OUT-1");
      const { accountId, id: watchId } = view.watch;
      for (const status of ["queued", "calling"]) await world.see("OUT-1", status);
      const read = { accountId, watchId, limit: 50, cursor: null };
      const all = await world.store.listWatchEvents(read);
      const timeline = await world.store.listTimeline({ ...read, deliveriesOfEach: 2 });
      expect(timeline).toEqual({
        data: all?.data.map((event) => ({ ...event, deliveries: event.deliveries.slice(0, 2), deliveryCount: event.deliveries.length })),
        nextCursor: null,
      });
      expect(timeline?.data.map(({ deliveryCount }) => deliveryCount)).toEqual([4, 4]);
      expect((await world.store.listTimeline({ ...read, limit: 1, deliveriesOfEach: 9 }))?.data).toEqual([
        { ...all?.data[0], deliveryCount: 4 },
      ]);
      expect(await world.store.listTimeline({ ...read, watchId: "wch_unknown", deliveriesOfEach: 2 })).toBeNull();
    });

    it("feeds nothing of another account, not even by the cursor", async () => {
      const world = await open();
      const { id: accountId } = await world.account();
      await world.watch("OUT-1");
      await world.see("OUT-1", "queued");
      const feed = (given: Partial<FeedQuery> = {}) => world.store.readFeed({ accountId, ...everything, ...given });
      const before = await feed();
      const empty = await feed({ cursor: before.nextCursor });
      expect(before.data).toHaveLength(1);
      const other = await world.account("other");
      await world.watch("OUT-2", { accountId: other.id });
      await world.see("OUT-2", "queued");
      await world.see("OUT-2", "calling");
      expect(await feed()).toEqual(before);
      expect(await feed({ cursor: before.nextCursor })).toEqual(empty);
      expect(await feed({ types: ["call.success"] })).toMatchObject({ data: [], nextCursor: before.nextCursor });
      await world.see("OUT-1", "calling");
      expect((await feed({ cursor: empty.nextCursor })).data).toMatchObject([{ event: { type: "call.calling" } }]);
    });

    it("feeds events in commit order; the cursor goes on after an empty page", async () => {
      const world = await open();
      const { id: accountId } = await world.account();
      const other = await world.account("other");
      const empty = await world.store.readFeed({ accountId, ...everything });
      expect(empty.data).toEqual([]);
      await world.watch("OUT-1");
      await world.watch("OUT-2", { accountId: other.id });
      await world.see("OUT-1", "queued");
      await world.see("OUT-2", "queued");
      world.pass(hour * 2);
      await world.see("OUT-1", "success");
      const page = await world.store.readFeed({ accountId, ...everything, limit: 1, cursor: empty.nextCursor });
      expect(page.data.map(({ event }) => event.type)).toEqual(["call.queued"]);
      const next = await world.store.readFeed({ accountId, ...everything, limit: 1, cursor: page.nextCursor });
      expect(next.data.map(({ event }) => event.type)).toEqual(["call.success"]);
      expect((await world.store.readFeed({ accountId, ...everything, cursor: next.nextCursor })).data).toEqual([]);
      const read = (query: object) =>
        world.store.readFeed({ accountId, ...everything, ...query }).then(({ data }) => data.map(({ event }) => event.type));
      expect(await read({ sinceMs: startMs + hour * 2 })).toEqual(["call.success"]);
      expect(await read({ sinceMs: startMs + hour * 2 + 1 })).toEqual([]);
      expect(await read({ types: ["call.queued"] })).toEqual(["call.queued"]);
      expect(await read({ types: [], orTerminal: true })).toEqual(["call.success"]);
      expect(await read({ callSid: "OUT-2" })).toEqual([]);
      expect(await world.store.listRecentEvents({ accountId, types: null, orTerminal: false, limit: 1 })).toMatchObject([
        { type: "call.success" },
      ]);
    });

    it("feeds nothing twice and misses nothing while commits go on", async () => {
      const world = await open();
      const { id: accountId } = await world.account();
      const sids = Array.from({ length: 30 }, (_, n) => `OUT-${n}`);
      for (const sid of sids) await world.watch(sid);
      const seen: string[] = [];
      let cursor: string | null = null;
      const commits = Promise.all(sids.map((sid) => world.see(sid, "queued")));
      for (let reads = 0; reads < 20 || seen.length < sids.length; reads++) {
        const page: Awaited<ReturnType<typeof world.store.readFeed>> = await world.store.readFeed({
          accountId,
          ...everything,
          limit: 4,
          cursor,
        });
        seen.push(...page.data.map(({ event }) => event.id));
        cursor = page.nextCursor;
      }
      await commits;
      expect(new Set(seen).size).toBe(seen.length);
      expect(seen).toHaveLength(sids.length);
    });

    it("knows a call for who had a watch on it", async () => {
      const world = await open();
      const { id: accountId } = await world.account();
      await world.watch("OUT-1");
      await world.see("OUT-1", "success", "done");
      const query = { accountId, sourceName: "default", callSid: "OUT-1" };
      expect(await world.store.getCall(query)).toMatchObject({
        callSid: "OUT-1",
        status: { status: "success", reason: "done", details: null, terminal: true, observedAtMs: startMs },
      });
      expect(await world.store.getCall({ ...query, accountId: (await world.account("other")).id })).toBeNull();
      expect(await world.store.getCall({ ...query, callSid: "OUT-2" })).toBeNull();
    });

    it("lists endpoints and hooks of the account", async () => {
      const world = await open();
      const { id: accountId } = await world.account();
      const { view } = await world.hook("https://hooks.example/");
      await world.watch("OUT-1");
      await world.record(
        only((await world.see("OUT-1", "queued")).jobs.filter((job) => job.target.url.includes("receiver"))),
        answered(503, "60"),
      );
      const endpoints = await world.store.listEndpoints({ accountId, limit: 10, cursor: null });
      expect(endpoints.data.map(({ endpoint, backlog }) => [endpoint.url, backlog])).toEqual([
        ["https://receiver.example/hook", 1],
        ["https://hooks.example/", 1],
      ]);
      expect(endpoints.data[0]).toMatchObject({ hostPausedUntilMs: startMs + 60_000, oldestDueAtMs: startMs + 60_000 });
      expect(await world.store.getEndpoint(accountId, view.endpoint.id)).toEqual(endpoints.data[1]);
      expect((await world.store.listHooks({ accountId, limit: 10, cursor: null })).data).toEqual([
        await world.store.getHook(accountId, view.id),
      ]);
      const other = await world.account("other");
      expect(await world.store.getEndpoint(other.id, view.endpoint.id)).toBeNull();
      expect((await world.store.listHooks({ accountId: other.id, limit: 10, cursor: null })).data).toEqual([]);
    });
  });
}

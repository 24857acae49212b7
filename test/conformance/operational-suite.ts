import { describe, expect, it } from "vitest";
import { operationalEventTypes } from "../../src/domain/events/event.ts";
import type { OperationalEventData } from "../../src/domain/events/event.ts";
import { latestCursor } from "../../src/domain/events/feed-place.ts";
import type { EventView } from "../../src/ports/stores/read-store.ts";
import type { SendJob } from "../../src/ports/stores/send-job.ts";
import { answered, expectKind, hour, minute, ok, only, second, startMs, typesOf } from "../harness/store-drafts.ts";
import type { StoreWorld } from "../harness/store-drafts.ts";
import { worlds } from "./store-backend.ts";
import type { StoreBackend } from "./store-backend.ts";

const broken = "https://broken.example/";
const ops = "https://ops.example/";

async function feed(
  world: StoreWorld,
  types: readonly string[] | null,
  accountId?: string,
  callSid: string | null = null,
): Promise<readonly EventView[]> {
  const query = { limit: 200, cursor: null, sinceMs: null, orTerminal: false, callSid };
  const page = await world.store.readFeed({ ...query, accountId: accountId ?? (await world.account()).id, types });
  return page.data;
}

async function dataOf(world: StoreWorld, types: readonly string[], accountId?: string): Promise<readonly OperationalEventData[]> {
  return (await feed(world, types, accountId)).map(({ event }) => event.data as OperationalEventData);
}

/** Sends one event of a new call to a receiver. */
async function attempt(world: StoreWorld, callSid: string, statusCode: number) {
  await world.watch(callSid, { url: broken });
  const jobs = await world.see(callSid, "queued").then((seen) => seen.jobs.filter((job) => job.target.url === broken));
  const [job] = jobs.length > 0 ? jobs : (await world.claim()).jobs.filter(({ target }) => target.url === broken);
  if (job === undefined) throw new Error(`nothing of ${callSid} may be sent`);
  return world.record(job, statusCode === 200 ? ok : answered(statusCode));
}

const nothingElse = {
  deliveryId: null,
  hookIds: null,
  source: null,
  placingId: null,
  keyId: null,
  subjectWatchId: null,
  subjectCallSid: null,
  metadata: null,
  idempotencyKey: null,
};

/** Events about the service itself. */
export function operationalSuite(backend: StoreBackend): void {
  describe("operational events", () => {
    const open = worlds(backend);

    it("say once that an endpoint fails for long, and once that it answers again", async () => {
      const world = await open({ failingAfterMs: hour });
      await world.hook(ops, { events: ["endpoint.failing", "endpoint.recovered"] });
      await world.hook(broken, { events: ["endpoint.failing", "endpoint.recovered"] });
      const sent: SendJob[] = [];
      for (const [n, statusCode] of [500, 500, 500, 500, 500, 500, 200, 200].entries()) {
        sent.push(...(await attempt(world, `OUT-${n}`, statusCode)).jobs);
        world.pass(n < 3 ? 10 * minute : 30 * minute);
      }
      const { id: endpointId } = only(
        (await world.store.listEndpoints({ accountId: (await world.account()).id, limit: 9, cursor: null })).data
          .map(({ endpoint }) => endpoint)
          .filter(({ url }) => url === broken),
      );
      expect(sent.map((job) => [job.target.url, job.event.type, job.event.data])).toEqual([
        [ops, "endpoint.failing", { ...nothingElse, endpointId, state: "failing", reason: "status", observedAtMs: startMs + hour }],
        [ops, "endpoint.recovered", { ...nothingElse, endpointId, state: "recovered", reason: null, observedAtMs: startMs + 2 * hour }],
      ]);
    });

    it("are made though no hook names them, and are in the feed only where their type is named", async () => {
      const world = await open({ failingAfterMs: 0 });
      for (let n = 0; n < 3; n++) {
        await attempt(world, `OUT-${n}`, 500);
        world.pass(second);
      }
      await attempt(world, "OUT-gone", 410);
      expect(
        (await feed(world, ["endpoint.failing", "endpoint.disabled"])).map(({ event, deliveries }) => [event.type, deliveries]),
      ).toEqual([
        ["endpoint.failing", []],
        ["endpoint.disabled", []],
      ]);
      expect((await feed(world, null)).map(({ event }) => event.type)).toEqual(Array.from({ length: 4 }, () => "call.queued"));
      const { id: accountId } = await world.account();
      const query = { accountId, limit: 1, sinceMs: null, types: null, orTerminal: false, callSid: null };
      const end = await world.store.readFeed({ ...query, cursor: latestCursor });
      // A reader that passed them is at the end.
      const all = await world.store.readFeed({ ...query, limit: 50, cursor: null });
      expect(all.nextCursor).toBe(end.nextCursor);
    });

    it("need three failures, and are made by no delivery of an operational event or test", async () => {
      const world = await open({ failingAfterMs: 0, scheduleMs: [0] });
      await world.hook(ops, { events: [...operationalEventTypes] });
      await attempt(world, "OUT-1", 500);
      await attempt(world, "OUT-2", 500);
      expect(await feed(world, ["endpoint.failing"])).toEqual([]);
      // Every exhausted delivery is an event for the hook, whose failures cause nothing.
      for (const job of await world.drain(answered(500))) expect(job.event.type).toBe("delivery.exhausted");
      const { id: accountId } = await world.account();
      const { data } = await world.store.listEndpoints({ accountId, limit: 9, cursor: null });
      for (const { endpoint } of data) {
        const claimed = await world.store.createTest({ accountId, endpointId: endpoint.id, nowMs: world.nowMs });
        expect((await world.record(expectKind(claimed, "claimed").job, answered(500))).jobs).toEqual([]);
      }
      expect(await feed(world, ["endpoint.failing"])).toEqual([]);
      expect(await dataOf(world, ["delivery.exhausted"])).toMatchObject([{ subjectCallSid: "OUT-1" }, { subjectCallSid: "OUT-2" }]);
      await attempt(world, "OUT-3", 500);
      expect(await dataOf(world, ["endpoint.failing"])).toMatchObject([{ reason: "status" }]);
    });

    it("keep a report of failing until a delivery succeeds, also over a disabling", async () => {
      const world = await open({ failingAfterMs: 0, disableAfterMs: 0, disableMinAttempts: 4 });
      for (let n = 0; n < 4; n++) {
        await attempt(world, `OUT-${n}`, 500);
        world.pass(second);
      }
      const { id: accountId } = await world.account();
      const { endpoint } = only((await world.store.listEndpoints({ accountId, limit: 9, cursor: null })).data);
      expect(endpoint).toMatchObject({ state: "disabled", health: { isReportedFailing: true } });
      await world.store.patchEndpoint({ accountId, endpointId: endpoint.id, patch: { state: "enabled" }, by: null, nowMs: world.nowMs });
      const sent = await world.drain();
      expect(new Set(typesOf(sent))).toEqual(new Set(["call.queued"]));
      const types = ["endpoint.failing", "endpoint.recovered", "endpoint.disabled"];
      expect((await feed(world, types)).map(({ event }) => event.type)).toEqual([
        "endpoint.failing",
        "endpoint.disabled",
        "endpoint.recovered",
      ]);
    });

    it("say once for each watch that its call is overdue", async () => {
      const world = await open();
      await world.hook(ops, { events: ["call.overdue"] });
      await world.hook("https://all.example/", { events: ["call.*", "terminal"] });
      const first = await world.watch("OUT-1");
      await world.watch("OUT-ended");
      await world.see("OUT-ended", "success");
      world.pass(minute);
      const second = await world.watch("OUT-1", { url: "https://second.example/" });
      const other = await world.account("other");
      const theirs = await world.watch("OUT-1", { url: "https://third.example/", accountId: other.id });
      const publish = (registeredUntilMs: number, limit = 50) =>
        world.store.publishOverdue({ registeredUntilMs, nowMs: world.nowMs, limit });
      expect(await publish(startMs - 1)).toEqual({ jobs: [], notices: [], more: false });
      const early = await publish(startMs);
      const { id: accountId } = await world.account();
      expect(early.notices).toEqual([{ accountId, watchId: null, callSid: "OUT-1", sequence: null, eventType: "call.overdue" }]);
      expect(early.jobs.map((job) => [job.target.url, job.event.type, job.event.data])).toEqual([
        [
          ops,
          "call.overdue",
          {
            ...nothingElse,
            endpointId: null,
            source: "default",
            subjectWatchId: first.view.watch.id,
            subjectCallSid: "OUT-1",
            state: "overdue",
            reason: null,
            observedAtMs: world.nowMs,
          },
        ],
      ]);
      expect(await publish(startMs)).toMatchObject({ jobs: [], notices: [] });
      const later = [await publish(world.nowMs, 1), await publish(world.nowMs, 1), await publish(world.nowMs, 1)];
      expect(later.map(({ notices, more }) => [notices.length, more])).toEqual([
        [1, true],
        [1, true],
        [0, false],
      ]);
      expect((await dataOf(world, ["call.overdue"])).map((data) => data.subjectWatchId)).toEqual([
        first.view.watch.id,
        second.view.watch.id,
      ]);
      expect(await dataOf(world, ["call.overdue"], other.id)).toMatchObject([{ subjectWatchId: theirs.view.watch.id }]);
      // The feed of one call has them where their type is named.
      await world.see("OUT-1", "calling");
      const found = async (callSid: string, types: readonly string[] | null, ofAccount?: string) =>
        (await feed(world, types, ofAccount, callSid)).map(({ event }) => event.type);
      expect(await found("OUT-1", ["call.overdue"])).toEqual(["call.overdue", "call.overdue"]);
      expect(await found("OUT-1", ["call.calling", "call.overdue"])).toEqual([
        "call.overdue",
        "call.overdue",
        "call.calling",
        "call.calling",
      ]);
      expect(await found("OUT-1", ["call.overdue"], other.id)).toEqual(["call.overdue"]);
      expect(await found("OUT-1", null)).toEqual(["call.calling", "call.calling"]);
      expect(await found("OUT-2", ["call.overdue"])).toEqual([]);
      expect(await found("OUT-ended", ["call.overdue", "call.success"])).toEqual(["call.success"]);
    });

    it("are not made for a watch that a running mark has ended", async () => {
      const world = await open({ marks: { threshold: 1, portion: 1 } });
      for (let n = 0; n < 3; n++) await world.watch("OUT-1", { url: `https://receiver${n}.example/` });
      for (let n = 0; n < 3; n++) await world.watch(`OUT-gone${n}`, { url: broken });
      await world.see("OUT-1", "success");
      const job = only((await world.see("OUT-gone0", "queued")).jobs);
      await world.record(job, answered(410));
      expect(await world.store.publishOverdue({ registeredUntilMs: world.nowMs, nowMs: world.nowMs, limit: 50 })).toEqual({
        jobs: [],
        notices: [],
        more: false,
      });
    });

    it("reach every account that may use a source, in portions", async () => {
      const world = await open();
      const accounts = [await world.account()];
      for (let n = 0; n < 4; n++) accounts.push(await world.account(`account ${n}`));
      const event = { type: "source.suspended", sourceName: "default", state: "suspended", reason: "unauthorized" } as const;
      let afterAccountId: string | null = null;
      let portions = 0;
      do {
        const published: { lastAccountId: string | null } = await world.store.publishSourceEvent({
          ...event,
          nowMs: world.nowMs,
          afterAccountId,
          limit: 2,
        });
        afterAccountId = published.lastAccountId;
        portions++;
      } while (afterAccountId !== null);
      expect(portions).toBe(3);
      for (const { id } of accounts) expect(await dataOf(world, ["source.suspended"], id)).toMatchObject([{ source: "default" }]);
    });
  });
}

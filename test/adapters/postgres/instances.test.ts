import pg from "pg";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../../src/adapters/clock.ts";
import { DatabaseClock } from "../../../src/adapters/postgres/connection/database-clock.ts";
import { Database } from "../../../src/adapters/postgres/connection/database.ts";
import { Instances } from "../../../src/adapters/postgres/instances/instance-rows.ts";
import { createSharedSourceStore } from "../../../src/adapters/postgres/instances/source-gates.ts";
import { createPostgresStore } from "../../../src/adapters/postgres/store.ts";
import { deadOwners } from "../../../src/adapters/postgres/calls/unowned-calls.ts";
import { InstanceFencedError } from "../../../src/domain/errors.ts";
import { decodeId } from "../../../src/domain/ids.ts";
import type { SourceShare } from "../../../src/ports/stores/instance-store.ts";
import { eventually } from "../../harness/service/eventually.ts";
import { TestPostgres } from "../../harness/postgres/postgres-database.ts";
import { answered, minute, startMs, statusChange, StoreWorld, testPolicy } from "../../harness/store-drafts.ts";

let database: TestPostgres;
let opened: Database[] = [];

beforeEach(async () => {
  database = await TestPostgres.create();
});
afterEach(async () => {
  await Promise.all(opened.map((db) => db.close()));
  opened = [];
  await database.dispose();
});

const leaseMs = 60_000;
const shareOf = (given: Partial<SourceShare> = {}): SourceShare => ({
  calls: 0,
  soleAccountId: null,
  uncorroborated: 0,
  recentPolls: 0,
  recentFailures: 0,
  lastGoodPollAtMs: null,
  lastUnknownStatus: null,
  ratePerSecond: 0,
  oldestDuePollMs: 0,
  ...given,
});

/** An instance with its database, store and gates. */
class Member {
  readonly owner = { token: null as number | null, hasPeers: false };
  readonly signals: string[] = [];
  readonly db = new Database({ connectionString: database.url, policy: testPolicy, owner: this.owner });
  readonly store = createPostgresStore(this.db);
  readonly world = new StoreWorld(this.store);
  readonly gates = createSharedSourceStore(this.db, () => this.signals.push("sources"));
  readonly instances = new Instances({
    db: this.db,
    clock: new DatabaseClock(systemClock),
    notifyPeers: (what) => this.signals.push(what),
  });

  static async join(lease = leaseMs): Promise<Member> {
    const member = new Member();
    opened.push(member.db);
    await member.instances.join({ version: "test", leaseMs: lease, shares: { default: shareOf() } });
    return member;
  }

  get token(): number {
    return this.owner.token ?? Number.NaN;
  }

  sweep() {
    return this.instances.sweep();
  }
}

async function watchMany(member: Member, count: number, prefix = "OUT"): Promise<readonly string[]> {
  const ids: string[] = [];
  for (let index = 0; index < count; index++) ids.push((await member.world.watch(`${prefix}-${index}`)).call?.callId ?? "");
  return ids;
}

/** Ends its lease and lets another instance evict it. */
async function evict(dead: Member, by: Member): Promise<void> {
  await dead.instances.heartbeat({ leaseMs: 1, shares: {} });
  const { expiredTokens } = await eventually(
    () => by.sweep(),
    (sweep) => sweep.expiredTokens.includes(dead.token),
  );
  expect(await by.instances.evict(expiredTokens)).toBe(1);
}

describe("an instance", () => {
  test("reads the shares of its peers at each heartbeat, and whether it has peers", async () => {
    const a = await Member.join();
    expect(await a.instances.heartbeat({ leaseMs, shares: { default: shareOf({ calls: 3 }) } })).toEqual({
      kind: "alive",
      token: a.token,
      instances: [{ token: a.token, shares: { default: shareOf({ calls: 3 }) }, keyIds: [] }],
    });
    expect(a.owner.hasPeers).toBe(false);
    const b = await Member.join();
    const alive = await a.instances.heartbeat({ leaseMs, shares: {} });
    expect(alive.kind === "alive" && alive.instances.map(({ token }) => token)).toEqual([a.token, b.token]);
    expect([a.owner.hasPeers, b.owner.hasPeers]).toEqual([true, true]);
    expect(b.token).toBeGreaterThan(a.token);
  });

  test("continues after its lease has ended, unless it was evicted: then every write is refused", async () => {
    const a = await Member.join();
    const b = await Member.join();
    await b.instances.heartbeat({ leaseMs: 1, shares: {} });
    await eventually(
      () => a.sweep(),
      (sweep) => sweep.expiredTokens.length === 1,
    );
    expect(await b.instances.heartbeat({ leaseMs, shares: {} })).toMatchObject({ kind: "alive" });
    expect(await a.instances.evict([b.token])).toBe(0);

    const draft = await b.world.watchDraft("OUT-1");
    await evict(b, a);
    await expect(b.store.registerWatches([draft])).rejects.toBeInstanceOf(InstanceFencedError);
    await expect(b.instances.claimCalls({ sourceName: "default", limit: 1, isLeft: false, deadlineBeforeMs: null })).rejects.toBeInstanceOf(
      InstanceFencedError,
    );
    expect(await b.instances.heartbeat({ leaseMs, shares: {} })).toEqual({ kind: "fenced" });
    const token = b.token;
    expect(token).toBeNaN();
    await b.instances.join({ version: "test", leaseMs, shares: {} });
    expect((await b.store.registerWatches([draft]))[0]?.kind).toBe("created");
  });

  test("is not evicted while it is writing", async () => {
    const a = await Member.join();
    const b = await Member.join();
    await b.instances.heartbeat({ leaseMs: 1, shares: {} });
    await eventually(
      () => a.sweep(),
      (sweep) => sweep.expiredTokens.length === 1,
    );
    const { promise: written, resolve: write } = Promise.withResolvers<void>();
    const writing = b.db.ownerTransaction(async () => written);
    await eventually(
      async () => a.db.get("select 1 from pg_stat_activity where state = 'idle in transaction' and datname = current_database()"),
      (row) => row !== undefined,
    );
    expect(await a.instances.evict([b.token])).toBe(0);
    write();
    await writing;
    expect(await a.instances.evict([b.token])).toBe(1);
  });

  test("releases its calls and leases when it leaves, and signals it", async () => {
    const a = await Member.join();
    const b = await Member.join();
    await watchMany(a, 3);
    a.signals.splice(0);
    await a.instances.leave();
    expect(a.signals).toEqual(["calls", "deliveries", "instances"]);
    expect((await b.sweep()).hasUnownedCalls).toBe(true);
    expect(await b.instances.claimCalls({ sourceName: "default", limit: 10, isLeft: false, deadlineBeforeMs: null })).toHaveLength(3);
    await a.instances.leave();
  });
});

describe("rates", () => {
  test("raised by many instances at once never exceed the limit together", async () => {
    const members = await Promise.all(Array.from({ length: 6 }, () => Member.join()));
    const granted = await Promise.all(
      members.flatMap(({ instances }) =>
        [5, 20, 33].map((wantedPerSecond) => instances.raiseRates({ default: { wantedPerSecond, limitPerSecond: 100 } })),
      ),
    );
    expect(granted.some((rates) => (rates["default"] ?? 0) > 0)).toBe(true);
    const alive = await members[0]?.instances.heartbeat({ leaseMs, shares: { default: shareOf() } });
    const others = alive?.kind === "alive" ? alive.instances.slice(1) : [];
    const rates = others.map(({ shares }) => shares["default"]?.ratePerSecond ?? 0);
    expect(rates.reduce((sum, rate) => sum + rate, 0)).toBeLessThanOrEqual(100);
    expect(Math.max(...rates)).toBeGreaterThan(4);
  });

  test("of an instance whose lease has ended are available, and its other shares stay", async () => {
    const a = await Member.join();
    const b = await Member.join();
    await a.instances.heartbeat({ leaseMs, shares: { default: shareOf({ calls: 7, ratePerSecond: 0 }) } });
    expect(await b.instances.raiseRates({ default: { wantedPerSecond: 100, limitPerSecond: 100 } })).toEqual({ default: 100 });
    expect(await a.instances.raiseRates({ default: { wantedPerSecond: 10, limitPerSecond: 100 } })).toEqual({ default: 0 });
    await b.instances.heartbeat({ leaseMs: 1, shares: { default: shareOf({ ratePerSecond: 100 }) } });
    await eventually(
      () => a.instances.raiseRates({ default: { wantedPerSecond: 10, limitPerSecond: 100 } }),
      (rates) => rates["default"] === 10,
    );
    const row = await a.db.get("select shares from instances where token = $1", a.token);
    expect(row?.["shares"]).toMatchObject({ default: { calls: 7, ratePerSecond: 10 } });
  });
});

describe("calls", () => {
  test("of an evicted instance are unowned without being rewritten, and claimed once", async () => {
    const members = await Promise.all([Member.join(), Member.join(), Member.join()]);
    const [a, b, c] = members as [Member, Member, Member];
    await watchMany(a, 50);
    await watchMany(b, 5, "OUT-b");
    expect((await b.sweep()).hasUnownedCalls).toBe(false);
    await evict(a, b);
    expect(await b.sweep()).toMatchObject({ hasUnownedCalls: true });
    expect(await c.instances.countUnownedCalls()).toEqual({ default: { released: 0, left: 50 } });
    const claims = await Promise.all(
      [b, c, b, c].map(({ instances }) =>
        instances.claimCalls({ sourceName: "default", limit: 20, isLeft: false, deadlineBeforeMs: null }),
      ),
    );
    const rest = await c.instances.claimCalls({ sourceName: "default", limit: 50, isLeft: false, deadlineBeforeMs: null });
    const ids = [...claims, rest].flat().map(({ callId }) => callId);
    expect([ids.length, new Set(ids).size]).toEqual([50, 50]);
    expect(await c.sweep()).toMatchObject({ hasUnownedCalls: false });
    expect(await c.instances.claimCalls({ sourceName: "other", limit: 50, isLeft: false, deadlineBeforeMs: null })).toEqual([]);
  });

  test("of a source without an instance are found by their deadline", async () => {
    const a = await Member.join();
    const b = await Member.join();
    for (let n = 0; n < 3; n++) await a.world.watch(`OUT-${n}`, { expiresAtMs: startMs + n * minute });
    await a.world.watch("OUT-1", { url: "https://second.example/", expiresAtMs: startMs });
    await a.instances.leave();
    const claim = (deadlineBeforeMs: number, limit = 5) =>
      b.instances.claimCalls({ sourceName: "default", limit, isLeft: false, deadlineBeforeMs });
    expect(await claim(startMs)).toEqual([]);
    expect((await claim(startMs + 1, 1)).map(({ callSid }) => callSid)).toEqual(["OUT-0"]);
    expect((await claim(startMs + 1)).map(({ callSid }) => callSid)).toEqual(["OUT-1"]);
    expect(await b.instances.countUnownedCalls()).toEqual({ default: { released: 0, left: 1 } });
  });

  test("that are released are unowned; releasing calls of another instance changes nothing", async () => {
    const a = await Member.join();
    const b = await Member.join();
    const [first = "", second = ""] = await watchMany(a, 2);
    await b.store.releaseCalls([{ callId: first, lastGoodPollAtMs: null }], "balance");
    expect((await b.sweep()).hasUnownedCalls).toBe(false);
    await a.store.releaseCalls([{ callId: first, lastGoodPollAtMs: startMs }], "balance");
    const [taken] = await b.instances.claimCalls({ sourceName: "default", limit: 5, isLeft: false, deadlineBeforeMs: null });
    expect(taken).toMatchObject({ callId: first, status: { lastGoodPollAtMs: startMs } });
    expect(await a.instances.loadOwnedCalls([first, second])).toMatchObject([{ callId: second }]);
  });

  test("whose watches another instance changed are reported to the owner until it reads them, and released without a watch", async () => {
    const a = await Member.join();
    const b = await Member.join();
    const [callId = ""] = await watchMany(a, 1);
    const registered = await b.world.register("OUT-0", { url: "https://other.example/" });
    expect(registered).toMatchObject({ kind: "created", call: null });
    // Reported until the owner reads the call, because the answer of a sweep may be lost.
    for (let sweeps = 0; sweeps < 2; sweeps++) expect((await a.sweep()).dirtyCallIds).toEqual([callId]);
    expect(await a.instances.loadOwnedCalls([callId])).toMatchObject([{ callId }]);
    expect((await a.sweep()).dirtyCallIds).toEqual([]);

    const { data } = await b.store.listWatches({
      accountId: (await b.world.account()).id,
      limit: 10,
      cursor: null,
      status: null,
      callSid: null,
    });
    for (const { watch } of data)
      await b.store.removeWatch({ by: null, accountId: watch.accountId, watchId: watch.id, purge: false, nowMs: startMs });
    expect((await a.sweep()).dirtyCallIds).toEqual([callId]);
    expect(await a.instances.loadOwnedCalls([callId])).toEqual([]);
    expect((await a.sweep()).dirtyCallIds).toEqual([]);
    expect(await a.db.get("select owner_token, watched from calls where id = $1", decodeId(callId))).toEqual({
      owner_token: null,
      watched: false,
    });
    expect((await b.sweep()).hasUnownedCalls).toBe(false);
  });

  test("stay reported after a 410 that their own instance records", async () => {
    const a = await Member.join();
    const b = await Member.join();
    const { view } = await a.world.watch("OUT-1", { url: "https://gone.example/" });
    const [job] = (await a.world.commit("OUT-1", [statusChange("queued")])).jobs;
    if (job === undefined) throw new Error("nothing to send");
    await b.world.register("OUT-1", { url: "https://other.example/" });
    await a.world.record(job, answered(410));
    expect((await a.sweep()).dirtyCallIds).toEqual([view.watch.callId]);
  });

  test("that another instance is claiming are not taken over by a registration that waited", async () => {
    const a = await Member.join();
    const b = await Member.join();
    const { view } = await a.world.watch("OUT-1");
    const { callId } = view.watch;
    await a.db.run("update calls set owner_token = null where id = $1", decodeId(callId));
    const taking = new pg.Client(database.url);
    await taking.connect();
    await taking.query("begin");
    await taking.query("update calls set owner_token = $1 where id = $2", [a.token, decodeId(callId)]);
    const registering = b.world.register("OUT-1", { url: "https://other.example/" });
    await eventually(
      async () => a.db.get("select count(*) as n from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"),
      (row) => row?.["n"] === 1,
    );
    await taking.query("commit");
    await taking.end();
    expect(await registering).toMatchObject({ kind: "created", call: null });
    expect(await a.db.get("select owner_token from calls where id = $1", decodeId(callId))).toEqual({ owner_token: a.token });
    expect((await a.sweep()).dirtyCallIds).toEqual([callId]);
  });

  test("of live instances, a hundred thousand, are not scanned by a sweep", async () => {
    const a = await Member.join();
    const b = await Member.join();
    await a.db.run(
      `insert into calls (id, source_name, scope, call_sid, created_at, owner_token)
       select n, 'default', 0, 'OUT-' || n, 0, case when n % 2 = 0 then $1::bigint else $2::bigint end from generate_series(1, 100000) n`,
      a.token,
      b.token,
    );
    await a.db.run("analyze calls");
    const [plan] = await a.db.all(`explain (analyze, format json, buffers) ${deadOwners}`);
    const buffers = JSON.stringify(plan).match(/"Shared Hit Blocks":(\d+)/)?.[1];
    expect(Number(buffers)).toBeLessThan(100);
    expect((await b.sweep()).hasUnownedCalls).toBe(false);
  });
});

describe("changes for other instances", () => {
  test("events of every instance are passed on once, in the order of the feed", async () => {
    const a = await Member.join();
    const b = await Member.join();
    const before = (await b.sweep()).feedPosition;
    const created = await a.world.watch("OUT-1");
    for (const status of ["queued", "calling", "success"]) await a.world.commit("OUT-1", [statusChange(status)]);
    const { feedPosition } = await eventually(
      () => b.sweep(),
      (sweep) => sweep.feedPosition !== before,
    );
    expect(feedPosition).not.toBe(before);
    const first = await eventually(
      () => b.instances.listNotices({ position: before, limit: 2 }),
      ({ notices }) => notices.length === 2,
    );
    // A transaction in a database of another test may hide the last event for a moment.
    const rest = await eventually(
      () => b.instances.listNotices({ position: first.position, limit: 2 }),
      ({ notices }) => notices.length === 1,
    );
    expect([...first.notices, ...rest.notices].map(({ sequence, eventType }) => `${sequence} ${eventType}`)).toEqual([
      "1 call.queued",
      "2 call.calling",
      "3 call.success",
    ]);
    expect([first.more, rest.more]).toEqual([true, false]);
    expect(await b.instances.listNotices({ position: rest.position, limit: 2 })).toMatchObject({ notices: [], position: rest.position });
    expect(await b.instances.listEnded([created.view.watch.id, "wch_none"])).toEqual([created.view.watch.id, "wch_none"]);
  });

  test("a delivery leased here and canceled elsewhere is reported until its lease is released", async () => {
    const a = await Member.join();
    const b = await Member.join();
    const created = await a.world.watch("OUT-1");
    const { jobs } = await a.world.commit("OUT-1", [statusChange("queued")]);
    const [job] = jobs;
    expect(await a.instances.listLeases()).toEqual([{ deliveryId: job?.deliveryId, leaseToken: job?.leaseToken }]);
    const { watch } = created.view;
    await b.store.removeWatch({ by: null, accountId: watch.accountId, watchId: watch.id, purge: false, nowMs: startMs });
    expect((await a.sweep()).settledDeliveryIds).toEqual([job?.deliveryId]);
    expect((await b.sweep()).settledDeliveryIds).toEqual([]);
    await a.store.releaseDeliveries(jobs, startMs);
    expect((await a.sweep()).settledDeliveryIds).toEqual([]);
  });

  test("deliveries in flight of an evicted instance are due for the others", async () => {
    const a = await Member.join();
    const b = await Member.join();
    await a.world.watch("OUT-1");
    await a.world.commit("OUT-1", [statusChange("queued")]);
    expect((await b.sweep()).isDeliveryDue).toBe(false);
    await evict(a, b);
    expect((await b.sweep()).isDeliveryDue).toBe(true);
    expect((await b.world.claim()).jobs).toHaveLength(1);
  });

  test("a retry that an evicted instance accepted is made by another, ahead of its schedule", async () => {
    const a = await Member.join();
    const b = await Member.join();
    await a.world.watch("OUT-1");
    const [job] = (await a.world.commit("OUT-1", [statusChange("queued")])).jobs;
    if (job === undefined) throw new Error("expected a job");
    await a.world.record(job, { kind: "failed", code: "connect", detail: "refused", statusCode: null, permanent: false });
    const { id: accountId } = await a.world.account();
    await a.store.claimManualRetry({ by: null, accountId, deliveryId: job.deliveryId, nowMs: startMs });
    expect((await b.world.claim()).jobs).toEqual([]);
    await evict(a, b);
    expect((await b.world.claim()).jobs).toMatchObject([{ deliveryId: job.deliveryId, mode: "manual", attemptNumber: 2 }]);
  });
});

describe("gates", () => {
  const suspension = { reason: "unauthorized", sinceMs: startMs } as const;

  test("the first instance suspends; a later one receives the current state", async () => {
    const a = await Member.join();
    const b = await Member.join();
    const request = { sourceName: "default", suspension, expectedVersion: 0 };
    const answers = await Promise.all([
      a.gates.changeSuspension(request),
      b.gates.changeSuspension({ ...request, suspension: { ...suspension, reason: "forbidden" } }),
    ]);
    expect(answers.map(({ kind }) => kind).toSorted()).toEqual(["changed", "superseded"]);
    expect(answers[0]?.gate).toEqual(answers[1]?.gate);
    const version = answers[0]?.gate.suspensionVersion ?? 0;
    const resumed = await b.gates.changeSuspension({ sourceName: "default", suspension: null, expectedVersion: version });
    expect(resumed).toMatchObject({ kind: "changed", gate: { suspension: null } });
    expect(await a.gates.changeSuspension({ sourceName: "default", suspension, expectedVersion: version })).toMatchObject({
      kind: "superseded",
    });
  });

  test("a throttle keeps the later end and leaves the suspension", async () => {
    const a = await Member.join();
    await a.gates.changeSuspension({ sourceName: "default", suspension, expectedVersion: 0 });
    await a.gates.throttle({ sourceName: "default", throttledUntilMs: 9000, rateFactor: 0.5 });
    const gate = await a.gates.throttle({ sourceName: "default", throttledUntilMs: 5000, rateFactor: 0.25 });
    expect(gate).toMatchObject({ suspension, throttledUntilMs: 9000, rateFactor: 0.25 });
  });

  test("are returned by each sweep to instances that have not seen them, and deleted when the last instance is gone", async () => {
    const a = await Member.join();
    const b = await Member.join();
    await a.gates.changeSuspension({ sourceName: "default", suspension, expectedVersion: 0 });
    expect((await b.sweep()).gates).toMatchObject([{ sourceName: "default", suspension }]);
    expect((await b.sweep()).gates).toEqual([]);
    await a.gates.throttle({ sourceName: "other", throttledUntilMs: 9000, rateFactor: 0.5 });
    expect((await b.sweep()).gates).toMatchObject([{ sourceName: "other", suspension: null }]);
    const c = await Member.join();
    expect((await c.sweep()).gates).toHaveLength(2);
    for (const member of [a, b, c]) await member.instances.leave();
    const d = await Member.join();
    expect((await d.sweep()).gates).toEqual([]);
  });
});

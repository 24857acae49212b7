import { expect, onTestFinished, test } from "vitest";
import { DatabaseClock } from "../../../src/adapters/postgres/connection/database-clock.ts";
import { Instances } from "../../../src/adapters/postgres/instances/instance-rows.ts";
import { StoreUnavailableError } from "../../../src/domain/errors.ts";
import { CallBalance } from "../../../src/engine/instances/call-balance.ts";
import { OrphanRescuer } from "../../../src/engine/instances/orphan-rescuer.ts";
import type { ClusterView } from "../../../src/ports/stores/instance-store.ts";
import { PollingWorld } from "../../harness/polling.ts";
import { TestPostgres } from "../../harness/postgres/postgres-database.ts";
import { silentLogger } from "../../harness/silent-telemetry.ts";
import { StoreWorld, testPolicy } from "../../harness/store-drafts.ts";

const sourceName = "default";
const maxPollsPerSecond = 200;
const heartbeatMs = 5000;

const sids = ["OUT-1", "OUT-2", "OUT-3", "OUT-4"];

/** An instance with four calls on a real store, and a peer with a connection of its own. */
async function createWorld() {
  const database = await TestPostgres.create();
  onTestFinished(() => database.dispose());
  const { store, db, owner } = await database.openAlone(testPolicy);
  onTestFinished(() => store.close());
  const world = new PollingWorld(store, { sourceName, maxPollsPerSecond });
  const { clock, poller } = world;
  const instances = new Instances({ db, clock: new DatabaseClock(clock), notifyPeers: () => undefined });
  const balance = new CallBalance({ store: instances, clock, heartbeatMs, poller });
  for (const sid of sids) await world.watch(sid);
  await world.settle();
  onTestFinished(() => poller.stop(0));
  const peer = await database.openBeside(testPolicy);
  onTestFinished(() => peer.store.close());
  const peerToken = peer.owner.token ?? 0;
  const registrations = new StoreWorld(peer.store);
  const sidsOf = async (token: number | null) => {
    const rows = await db.all("select call_sid from calls where owner_token = $1 order by call_sid", token);
    return rows.map((row) => row["call_sid"] as string);
  };
  return {
    world,
    store,
    instances,
    balance,
    db,
    peerToken,
    stored: () => sidsOf(owner.token),
    /** SIDs of the calls that memory says this instance has. */
    inMemory: () => [...poller.calls.all()].map(({ callSid }) => callSid).toSorted(),
    /** Both instances, with the peer's calls and rate as it last reported them. */
    viewOf: (peerCalls: number, ratePerSecond = maxPollsPerSecond) =>
      viewOf(owner.token ?? 0, peerToken, { calls: peerCalls, ratePerSecond }),
    view: viewOf(owner.token ?? 0, peerToken, { calls: 0, ratePerSecond: maxPollsPerSecond }),
    /** Registers calls at the peer and gives them another owner: `null` as a release does, 0 as a stop does. */
    async watchAtPeer(count: number, ownerToken: number | null = peerToken): Promise<void> {
      for (let n = 0; n < count; n++) await registrations.watch(`OUT-peer-${n}`);
      await db.run("update calls set owner_token = $1 where owner_token = $2", ownerToken, peerToken);
    },
  };
}

test("a call that is claimed again before the answer to its release stays in memory", async () => {
  const { world, balance, stored, inMemory, view } = await createWorld();
  const { promise, resolve } = Promise.withResolvers<void>();
  world.releaseAnswersAfter = promise;
  const releasing = balance.releaseSurplus(view);
  while ((await stored()).length > 2) await world.clock.settle();
  // The peer claims nothing, so a later sweep takes the calls back before the release is answered.
  expect(await balance.claim()).toBe(0);
  await world.clock.advance(2 * heartbeatMs);
  expect(await balance.claim()).toBe(2);
  expect(await stored()).toEqual(sids);
  resolve();
  await releasing;
  expect(inMemory()).toEqual(sids);
  await world.advance(10_000);
  for (const sid of sids) expect(world.pollsOf(sid).length).toBeGreaterThan(2);
});

test("a call whose release was committed without an answer leaves memory with the next heartbeat", async () => {
  const { world, balance, stored, inMemory, view } = await createWorld();
  const { promise, reject } = Promise.withResolvers<void>();
  promise.catch(() => undefined);
  world.releaseAnswersAfter = promise;
  const releasing = balance.releaseSurplus(view);
  while ((await stored()).length > 2) await world.clock.settle();
  reject(new StoreUnavailableError("the answer was lost"));
  await releasing;
  expect(inMemory()).toEqual(sids);
  world.releaseAnswersAfter = null;
  await balance.releaseSurplus(view);
  expect(inMemory()).toHaveLength(2);
  expect(inMemory()).toEqual(await stored());
});

test("calls of a removed source that no instance owns are adopted, so that their watches end", async () => {
  const { world, balance, stored, view } = await createWorld();
  await balance.releaseSurplus(view);
  expect(await stored()).toHaveLength(2);
  world.poller.endSource(sourceName);
  await world.advance(1000);
  expect(world.notified.filter((notice) => notice.endsWith("watch.lost"))).toHaveLength(2);
  for (let sweeps = 0; sweeps < 2; sweeps++) await balance.claim();
  world.poller.endSource(sourceName);
  await world.advance(1000);
  expect(world.notified.filter((notice) => notice.endsWith("watch.lost"))).toHaveLength(4);
  expect(await stored()).toEqual([]);
});

test("an even burst of registrations stays where it is, although the peer has not reported its calls yet", async () => {
  const { balance, stored, inMemory, view, watchAtPeer } = await createWorld();
  await watchAtPeer(4);
  await balance.releaseSurplus(view);
  expect(inMemory()).toEqual(sids);
  expect(await stored()).toEqual(sids);
});

test("calls that were released beyond the fair parts are taken after two heartbeats", async () => {
  const { world, balance, viewOf, watchAtPeer } = await createWorld();
  await watchAtPeer(3, null);
  // The peer has reported too many calls, so that no fair part has room for the last one.
  await balance.releaseSurplus(viewOf(1));
  await balance.releaseSurplus(viewOf(4));
  expect(await balance.claim()).toBe(2);
  for (let passedMs = 0; passedMs < 2 * heartbeatMs; passedMs += 1000) {
    expect(await balance.claim()).toBe(0);
    await world.clock.advance(1000);
  }
  await world.clock.advance(heartbeatMs);
  expect(await balance.claim()).toBe(1);
});

test("calls that are free again later are not long free", async () => {
  const { world, balance, viewOf, watchAtPeer, db } = await createWorld();
  await watchAtPeer(1, null);
  await balance.releaseSurplus(viewOf(2));
  expect(await balance.claim()).toBe(0);
  await db.run("update calls set owner_token = -1 where owner_token is null");
  await db.run("update calls set watched = false where owner_token = -1");
  balance.allOwned();
  await world.clock.advance(2 * heartbeatMs);
  await db.run("update calls set watched = true, owner_token = null where owner_token = -1");
  expect(await balance.claim()).toBe(0);
});

test("what a stopped instance left is taken at once", async () => {
  const { balance, viewOf, watchAtPeer, stored } = await createWorld();
  await watchAtPeer(3, 0);
  await balance.releaseSurplus(viewOf(4));
  expect(await balance.claim()).toBe(2);
  expect(await balance.claim()).toBe(0);
  expect(await balance.claim()).toBe(1);
  expect(await stored()).toHaveLength(7);
});

test("calls that this instance releases at its stop are left to any other", async () => {
  const { world, instances } = await createWorld();
  await world.poller.stop(0);
  expect(await instances.countUnownedCalls()).toEqual({ [sourceName]: { released: 0, left: 4 } });
});

test("a newcomer takes no more calls than its grant can poll", async () => {
  const { world, balance, viewOf, watchAtPeer, inMemory } = await createWorld();
  const rate = world.poller.sources.gates.get(sourceName)?.rate;
  await watchAtPeer(20, null);
  // Of 100 calls its fair part is 50. Two polls a second are those of 4 calls.
  rate?.setGrant(2);
  await balance.releaseSurplus(viewOf(76));
  expect(await balance.claim()).toBe(0);
  rate?.setGrant(5);
  expect(await balance.claim()).toBe(6);
  rate?.setGrant(maxPollsPerSecond);
  expect(await balance.claim()).toBe(14);
  expect(inMemory()).toHaveLength(24);
});

test("calls are released as far as the peer can poll them", async () => {
  const { balance, viewOf, inMemory } = await createWorld();
  // Half a poll a second is one call at the shortest interval.
  await balance.releaseSurplus(viewOf(0, 0.5));
  expect(inMemory()).toHaveLength(3);
});

test("memory and store are compared both ways", async () => {
  const { world, instances, db, inMemory, stored, watchAtPeer, peerToken } = await createWorld();
  const { assignment } = world.poller;
  expect(await assignment.compare(instances)).toEqual({ adopted: 0, dropped: 0 });
  await watchAtPeer(2, await tokenOf(db));
  expect(await assignment.compare(instances)).toEqual({ adopted: 2, dropped: 0 });
  await db.run("update calls set owner_token = $1 where call_sid in ('OUT-1', 'OUT-2')", peerToken);
  expect(await assignment.compare(instances)).toEqual({ adopted: 0, dropped: 2 });
  expect(inMemory()).toEqual(await stored());
});

test("a call that is assigned to this instance during the comparison stays", async () => {
  const { world, instances, db, peerToken, inMemory } = await createWorld();
  const known = world.poller.calls.find(sourceName, "", "OUT-1");
  if (known === undefined) throw new Error("the call is in memory");
  const [own] = await instances.loadOwnedCalls([known.callId]);
  await db.run("update calls set owner_token = $1 where call_sid = 'OUT-1'", peerToken);
  const compared = world.poller.assignment.compare({
    listOwnedCallIds: (page) => instances.listOwnedCallIds(page),
    loadOwnedCalls: async (ids) => {
      const owned = await instances.loadOwnedCalls(ids);
      // A registration was committed since, and its answer is here first.
      if (own !== undefined) world.poller.watch(own);
      return owned;
    },
  });
  expect(await compared).toEqual({ adopted: 0, dropped: 0 });
  expect(inMemory()).toEqual(sids);
});

test("memory and store are compared once a minute, and not before", async () => {
  const { world, instances, store, db, peerToken, inMemory } = await createWorld();
  let lists = 0;
  const rescuer = new OrphanRescuer({
    store: {
      listLeases: () => instances.listLeases(),
      loadOwnedCalls: (ids) => instances.loadOwnedCalls(ids),
      listOwnedCallIds: (page) => {
        lists += 1;
        return instances.listOwnedCallIds(page);
      },
    },
    releaseDeliveries: (leases, nowMs) => store.releaseDeliveries(leases, nowMs),
    clock: world.clock,
    logger: silentLogger,
    poller: world.poller,
    dispatcher: { leaseTokens: () => new Set() },
  });
  await db.run("update calls set owner_token = $1 where call_sid = 'OUT-1'", peerToken);
  for (let passedMs = 0; passedMs < 60_000; passedMs += heartbeatMs) {
    await rescuer.check();
    expect([lists, inMemory().length]).toEqual([0, 4]);
    await world.advance(heartbeatMs);
  }
  await rescuer.check();
  expect([lists, inMemory()]).toEqual([1, ["OUT-2", "OUT-3", "OUT-4"]]);
  await rescuer.check();
  expect(lists).toBe(1);
  // After an error of the store at once.
  await db.run("update calls set owner_token = $1 where call_sid = 'OUT-2'", peerToken);
  rescuer.onStoreError();
  await rescuer.check();
  expect(inMemory()).toEqual(["OUT-3", "OUT-4"]);
});

async function tokenOf(db: { get(sql: string): Promise<Record<string, unknown> | undefined> }): Promise<number | null> {
  const row = await db.get("select min(token) as token from instances");
  return (row?.["token"] as number | null) ?? null;
}

/** This instance and a peer that has reported these calls and this rate. */
function viewOf(token: number, peerToken: number, share: { readonly calls: number; readonly ratePerSecond: number }): ClusterView {
  const shares = { [sourceName]: share } as unknown as ClusterView["instances"][number]["shares"];
  return { kind: "alive", token, instances: [token, peerToken].map((each) => ({ token: each, shares, keyIds: [] })) };
}

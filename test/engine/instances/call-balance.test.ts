import { expect, onTestFinished, test } from "vitest";
import { DatabaseClock } from "../../../src/adapters/postgres/connection/database-clock.ts";
import { Instances } from "../../../src/adapters/postgres/instances/instance-rows.ts";
import { StoreUnavailableError } from "../../../src/domain/errors.ts";
import { CallBalance } from "../../../src/engine/instances/call-balance.ts";
import type { ClusterView } from "../../../src/ports/stores/instance-store.ts";
import { PollingWorld } from "../../harness/polling.ts";
import { TestPostgres } from "../../harness/postgres/postgres-database.ts";
import { testPolicy } from "../../harness/store-drafts.ts";

const sourceName = "default";

const sids = ["OUT-1", "OUT-2", "OUT-3", "OUT-4"];

/** An instance with four calls on a real store. */
async function createWorld() {
  const database = await TestPostgres.create();
  onTestFinished(() => database.dispose());
  const { store, db, owner } = await database.openAlone(testPolicy);
  onTestFinished(() => store.close());
  const world = new PollingWorld(store, { sourceName });
  const { clock, poller } = world;
  const instances = new Instances({ db, clock: new DatabaseClock(clock), notifyPeers: () => undefined });
  const balance = new CallBalance({ store: instances, clock, heartbeatMs: 5000, poller });
  for (const sid of sids) await world.watch(sid);
  await world.settle();
  onTestFinished(() => poller.stop(0));
  const stored = async () => {
    const rows = await db.all("select call_sid from calls where owner_token = $1 order by call_sid", owner.token);
    return rows.map((row) => row["call_sid"] as string);
  };
  return {
    world,
    balance,
    stored,
    /** SIDs of the calls that memory says this instance has. */
    inMemory: () => [...poller.calls.all()].map(({ callSid }) => callSid).toSorted(),
    view: viewWithIdlePeer(owner.token ?? 0),
  };
}

test("a call that is claimed again before the answer to its release stays in memory", async () => {
  const { world, balance, stored, inMemory, view } = await createWorld();
  const { promise, resolve } = Promise.withResolvers<void>();
  world.releaseAnswersAfter = promise;
  const releasing = balance.releaseSurplus(view);
  while ((await stored()).length > 2) await world.clock.settle();
  // The peer claims nothing, so the second sweep takes the calls back before the release is answered.
  expect(await balance.claim()).toBe(0);
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

/** This instance and one that has the source and no calls. */
function viewWithIdlePeer(token: number): ClusterView {
  const share = { calls: 0, ratePerSecond: 0 };
  const shares = { [sourceName]: share } as unknown as ClusterView["instances"][number]["shares"];
  return { kind: "alive", token, instances: [token, token + 1].map((each) => ({ token: each, shares, keyIds: [] })) };
}

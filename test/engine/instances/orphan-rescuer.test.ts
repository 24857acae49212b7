import { expect, onTestFinished, test } from "vitest";
import { DatabaseClock } from "../../../src/adapters/postgres/connection/database-clock.ts";
import { Instances } from "../../../src/adapters/postgres/instances/instance-rows.ts";
import { OrphanRescuer } from "../../../src/engine/instances/orphan-rescuer.ts";
import { FakeClock } from "../../harness/fake-clock.ts";
import { TestPostgres } from "../../harness/postgres/postgres-database.ts";
import { silentLogger } from "../../harness/silent-telemetry.ts";
import { statusChange, StoreWorld, testPolicy } from "../../harness/store-drafts.ts";

const operationsEndAfterMs = 12_000;

/** A rescuer on a real store; `held` are the lease tokens that its process has in memory. */
async function createWorld() {
  const database = await TestPostgres.create();
  onTestFinished(() => database.dispose());
  const { store, db } = await database.openAlone(testPolicy);
  onTestFinished(() => store.close());
  const clock = new FakeClock();
  const instances = new Instances({ db, clock: new DatabaseClock(clock), notifyPeers: () => undefined });
  const held = new Set<number>();
  const rescuer = new OrphanRescuer({
    store: instances,
    releaseDeliveries: (leases, nowMs) => store.releaseDeliveries(leases, nowMs),
    clock,
    logger: silentLogger,
    poller: { assignment: { compare: () => Promise.resolve({ adopted: 0, dropped: 0 }) } as never },
    dispatcher: { leaseTokens: () => held },
  });
  const world = new StoreWorld(store);
  /** A commit that leases a delivery to this instance. */
  const lease = async (callSid: string) => {
    await world.watch(callSid);
    const { jobs } = await world.commit(callSid, [statusChange("queued")]);
    return jobs.map(({ leaseToken }) => leaseToken);
  };
  const standing = async () => (await instances.listLeases()).map(({ leaseToken }) => leaseToken);
  /** A check after every heartbeat. */
  const pass = async (ms: number) => {
    for (let passedMs = 0; passedMs < ms; passedMs += 5000) {
      await clock.advance(5000);
      await rescuer.check();
    }
  };
  return { clock, rescuer, held, lease, standing, pass };
}

test("a lease that is committed after the first look is released too", async () => {
  const { rescuer, lease, standing, pass } = await createWorld();
  const before = await lease("OUT-before");
  rescuer.onStoreError();
  await rescuer.check();
  // The transaction whose answer was lost was still running at the first look.
  const after = await lease("OUT-after");
  expect(await standing()).toEqual([...before, ...after]);
  await pass(3 * operationsEndAfterMs);
  expect(await standing()).toEqual([]);
});

test("a lease is released where no check was possible for long", async () => {
  const { rescuer, lease, standing, pass, clock } = await createWorld();
  await lease("OUT-before");
  rescuer.onStoreError();
  await clock.advance(2 * operationsEndAfterMs);
  await pass(3 * operationsEndAfterMs);
  expect(await standing()).toEqual([]);
});

test("a lease whose answer is on its way stays", async () => {
  const { rescuer, held, lease, standing, pass } = await createWorld();
  rescuer.onStoreError();
  await pass(10_000);
  // Listed by the second look, and in memory a moment later.
  const claimed = await lease("OUT-claimed");
  await pass(5000);
  for (const token of claimed) held.add(token);
  await pass(3 * operationsEndAfterMs);
  expect(await standing()).toEqual(claimed);
});

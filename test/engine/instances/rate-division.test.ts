import { expect, onTestFinished, test } from "vitest";
import { systemClock } from "../../../src/adapters/clock.ts";
import { DatabaseClock } from "../../../src/adapters/postgres/connection/database-clock.ts";
import { Instances } from "../../../src/adapters/postgres/instances/instance-rows.ts";
import { RateDivision } from "../../../src/engine/instances/rate-division.ts";
import { PollRate } from "../../../src/engine/sources/poll-rate.ts";
import type { Shares } from "../../../src/ports/stores/instance-store.ts";
import { FakeClock } from "../../harness/fake-clock.ts";
import { TestPostgres } from "../../harness/postgres/postgres-database.ts";
import { testPolicy } from "../../harness/store-drafts.ts";

const leaseMs = 60_000;
const limitPerSecond = 64;

/** Instances that divide the rate of one source on a real store. */
async function createWorld() {
  const database = await TestPostgres.create();
  onTestFinished(() => database.dispose());
  const clock = new FakeClock();
  const openMember = async (open: "openAlone" | "openBeside") => {
    const { db, store } = await database[open](testPolicy);
    onTestFinished(() => store.close());
    const instances = new Instances({ db, clock: new DatabaseClock(systemClock), notifyPeers: () => undefined });
    const rate = new PollRate({ maxPollsPerSecond: limitPerSecond, intervalMinMs: 2000 });
    const gates = new Map([["default", { rate }]]);
    const member = { isSteady: true, raised: 0 };
    const division = new RateDivision({
      store: instances,
      clock,
      gates: () => gates,
      isSteady: () => member.isSteady,
      onRaised: () => void (member.raised += 1),
    });
    division.reset();
    const heartbeat = async () => {
      const ratePerSecond = division.publish().get("default") ?? 0;
      const shares = { default: { calls: 10, ratePerSecond } } as unknown as Shares;
      const view = await instances.heartbeat({ leaseMs, shares });
      if (view.kind === "alive") await division.divide(view);
    };
    return Object.assign(member, { division, rate, heartbeat });
  };
  const members = [await openMember("openAlone"), await openMember("openBeside")] as const;
  const { db } = await database.openReader(testPolicy);
  onTestFinished(() => db.close());
  return { clock, members, endLeases: () => db.run("update instances set lease_until = clock_timestamp() - interval '1 second'") };
}

test("after a lapse without an eviction each instance has its old grant again at its first heartbeat", async () => {
  const { clock, members, endLeases } = await createWorld();
  const [a, b] = members;
  for (let round = 0; round < 4; round++) {
    for (const member of members) await member.heartbeat();
    await clock.advance(2000);
  }
  const before = [a.rate.grantPerSecond, b.rate.grantPerSecond];
  expect(before).toEqual([30, 30]);
  // No instance could renew a lease, and no instance is there to evict one.
  await endLeases();
  for (const member of members) {
    member.division.lapse();
    // Each attempt of a heartbeat finds the lease over.
    member.division.lapse();
    member.isSteady = false;
  }
  expect([a.rate.grantPerSecond, b.rate.grantPerSecond]).toEqual([0, 0]);
  // At its first heartbeat each finds the leases of the others still over.
  await a.heartbeat();
  expect([a.rate.grantPerSecond, b.rate.grantPerSecond]).toEqual([30, 0]);
  await b.heartbeat();
  expect([a.rate.grantPerSecond, b.rate.grantPerSecond]).toEqual(before);
  expect(a.raised).toBeGreaterThan(1);
});

test("an instance whose peer does not come back asks for its part once the lease is steady", async () => {
  const { clock, members, endLeases } = await createWorld();
  const [a] = members;
  for (let round = 0; round < 4; round++) {
    for (const member of members) await member.heartbeat();
    await clock.advance(2000);
  }
  await endLeases();
  a.division.lapse();
  a.isSteady = false;
  await a.heartbeat();
  expect(a.rate.grantPerSecond).toBe(30);
  a.isSteady = true;
  await a.heartbeat();
  expect(a.rate.grantPerSecond).toBe(60);
});

test("an evicted instance asks for its part, and not for the grant that it had", async () => {
  const { clock, members, endLeases } = await createWorld();
  const [a] = members;
  for (let round = 0; round < 4; round++) {
    for (const member of members) await member.heartbeat();
    await clock.advance(2000);
  }
  await endLeases();
  a.division.lapse();
  a.division.reset();
  a.isSteady = false;
  await a.heartbeat();
  expect(a.rate.grantPerSecond).toBe(60);
});

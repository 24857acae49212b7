import { expect, onTestFinished, test } from "vitest";
import { openSqliteStore } from "../../../src/adapters/sqlite/store.ts";
import { PollingWorld, broken, fine, notStarted, unauthorized } from "../../harness/polling.ts";
import { testPolicy } from "../../harness/store-drafts.ts";

async function openWorld(): Promise<PollingWorld> {
  const store = await openSqliteStore({ path: ":memory:", policy: testPolicy });
  const world = new PollingWorld(store);
  onTestFinished(async () => {
    await world.poller.stop(0);
    await store.close();
  });
  return world;
}

test("a poll that this process could not start is no poll: nothing is known, and it is repeated in a second", async () => {
  const world = await openWorld();
  world.upstream.answer = () => notStarted;
  await world.watch("OUT-1");
  await world.advance(10_000);
  expect(world.source).toMatchObject({ state: "unproven", lastGoodPollAtMs: null });
  const polls = world.pollsOf("OUT-1");
  expect(polls.length).toBeGreaterThanOrEqual(8);
  expect(polls.length).toBeLessThanOrEqual(12);
  expect(world.warnings).toEqual(["connection.not_started"]);
  world.upstream.answer = () => fine("calling");
  await world.advance(1500);
  expect(world.notified).toEqual(["1 call.calling"]);
});

test("a deadline that passes meanwhile waits for a poll", async () => {
  const world = await openWorld();
  world.upstream.answer = () => notStarted;
  await world.watch("OUT-1", { expiresAtMs: world.clock.nowMs() + 5000 });
  await world.advance(20_000);
  expect(world.notified).toEqual([]);
  world.upstream.answer = () => fine("calling");
  await world.advance(1500);
  expect(world.notified).toEqual(["1 call.calling", "2 watch.expired"]);
});

test("many do not open the circuit, and backing off begins with the upstream's own failures", async () => {
  const world = await openWorld();
  world.upstream.answer = () => notStarted;
  for (let n = 0; n < 30; n++) await world.watch(`OUT-${n}`);
  await world.advance(20_000);
  expect(world.sourceChanges).toEqual([]);
  expect(world.source.state).toBe("unproven");
  world.upstream.answer = () => broken;
  await world.advance(10_000);
  expect(world.source.state).toBe("circuit_open");
});

test("a probe that could not be started is repeated in a second, and not after a doubled wait", async () => {
  const world = await openWorld();
  world.upstream.answer = () => unauthorized;
  await world.watch("OUT-1");
  await world.advance(1000);
  expect(world.source.state).toBe("suspended");
  world.upstream.answer = () => notStarted;
  await world.advance(20_000);
  world.upstream.answer = () => fine("calling");
  await world.advance(2000);
  expect(world.source.state).toBe("ok");
});

import { setImmediate } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openSqliteStore } from "../../../src/adapters/sqlite/store.ts";
import { StoreUnavailableError } from "../../../src/domain/errors.ts";
import { RetentionCleaner } from "../../../src/engine/runtime/retention-cleaner.ts";
import type { RetentionStore } from "../../../src/ports/stores/service-store.ts";
import { FakeClock } from "../../harness/fake-clock.ts";
import { silentLogger } from "../../harness/silent-telemetry.ts";
import { StoreWorld, day, testPolicy } from "../../harness/store-drafts.ts";

const retentionDays = 30;
let world: StoreWorld;
let clock: FakeClock;

beforeEach(async () => {
  world = new StoreWorld(await openSqliteStore({ path: ":memory:", policy: testPolicy }));
  clock = new FakeClock(world.nowMs);
});
afterEach(() => world.store.close());

/** Adds `count` watches whose calls ended 31 days ago. */
async function withEndedWatches(count: number): Promise<void> {
  for (let n = 0; n < count; n++) {
    await world.watch(`OUT-${n}`);
    for (const job of (await world.see(`OUT-${n}`, "success")).jobs) await world.record(job);
  }
  clock.setWall(world.pass((retentionDays + 1) * day));
}

const watchesLeft = async () => (await world.store.readStats()).watchesByStatus["completed"];

/**
 * Advances the clock until the round is over. Returns its duration in ms. The clock stands still during a batch of the real
 * store if `isAtStore` says so, because how long it takes depends on the machine.
 */
async function roundOf(cleaner: RetentionCleaner, isAtStore = () => false): Promise<number> {
  const startedMs = clock.monotonicMs();
  const round = cleaner.tick().then(() => "over");
  while ((await Promise.race([round, setImmediate("running")])) !== "over") if (!isAtStore()) await clock.advance(5);
  return clock.monotonicMs() - startedMs;
}

test("goes on while there is more, batch by batch", async () => {
  await withEndedWatches(75);
  const batches: number[] = [];
  let isAtStore = false;
  const store: RetentionStore = {
    deleteExpired: (request) => {
      batches.push(request.limit);
      isAtStore = true;
      return world.store.deleteExpired(request).finally(() => (isAtStore = false));
    },
  };
  await roundOf(new RetentionCleaner({ store, clock, logger: silentLogger, retentionDays }), () => isAtStore);
  expect(await watchesLeft()).toBe(0);
  expect(batches.length).toBeGreaterThanOrEqual(4);
  expect(Math.max(...batches)).toBeLessThanOrEqual(20);
});

test("rests three times as long as a batch took, and a round ends in time to count as one", async () => {
  // Setup: a store that has something to delete for ever and takes 50 ms a batch.
  let batches = 0;
  const store: RetentionStore = {
    deleteExpired: async () => {
      batches += 1;
      await clock.advance(50);
      return { deleted: 20, more: true };
    },
  };
  const tookMs = await roundOf(new RetentionCleaner({ store, clock, logger: silentLogger, retentionDays }));
  expect(tookMs).toBeGreaterThanOrEqual(15_000);
  expect(tookMs).toBeLessThan(20_000);
  expect(batches).toBeGreaterThan(60);
  expect(batches).toBeLessThanOrEqual(15_000 / 200 + 1);
});

test("ends with its batch when the service stops", async () => {
  let batches = 0;
  const store: RetentionStore = {
    deleteExpired: async () => {
      batches += 1;
      return Promise.resolve({ deleted: 20, more: true });
    },
  };
  const cleaner = new RetentionCleaner({ store, clock, logger: silentLogger, retentionDays });
  const round = cleaner.tick();
  await clock.settle();
  cleaner.stop();
  await round;
  expect(batches).toBe(1);
  await cleaner.tick();
  expect(batches).toBe(1);
  expect(clock.timerCount).toBe(0);
});

test("an unavailable store does not fail the loop, any other error does", async () => {
  for (const [failure, outcome] of [
    [new StoreUnavailableError("away"), "fulfilled"],
    [new Error("a bug"), "rejected"],
  ] as const) {
    const store: RetentionStore = { deleteExpired: () => Promise.reject(failure) };
    const [round] = await Promise.allSettled([new RetentionCleaner({ store, clock, logger: silentLogger, retentionDays }).tick()]);
    expect(round?.status).toBe(outcome);
  }
});

test("an unavailable store is retried with growing pauses and logged once per outage", async () => {
  // Timeline: the store is away for ten minutes, answers once, and is away again.
  let isAway = true;
  let asked = 0;
  const said: string[] = [];
  const store: RetentionStore = {
    deleteExpired: () => {
      asked += 1;
      return isAway ? Promise.reject(new StoreUnavailableError("away")) : Promise.resolve({ deleted: 0, more: false });
    },
  };
  const logger = { ...silentLogger, warn: (_: unknown, message: string) => void said.push(message) };
  const cleaner = new RetentionCleaner({ store, clock, logger, retentionDays });
  const tickFor = async (ms: number) => {
    for (let passedMs = 0; passedMs < ms; passedMs += cleaner.tickEveryMs) {
      await cleaner.tick();
      await clock.advance(cleaner.tickEveryMs);
    }
  };
  await tickFor(600_000);
  expect(asked).toBeGreaterThan(8);
  expect(asked).toBeLessThan(16);
  expect(said).toEqual(["retention.failed"]);

  isAway = false;
  await tickFor(60_000);
  asked = 0;
  await tickFor(60_000);
  expect(asked).toBe(60_000 / cleaner.tickEveryMs);
  isAway = true;
  await tickFor(60_000);
  expect(said).toEqual(["retention.failed", "retention.failed"]);
});

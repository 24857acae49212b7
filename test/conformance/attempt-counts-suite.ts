import { describe, expect, it } from "vitest";
import { answered, day, expectKind, hour, minute, ok } from "../harness/store-drafts.ts";
import type { StoreWorld } from "../harness/store-drafts.ts";
import type { AttemptOutcome } from "../../src/domain/deliveries/attempt.ts";
import { worlds } from "./store-backend.ts";
import type { StoreBackend } from "./store-backend.ts";

/** Sends one event of a new call to the receiver. */
async function attempt(world: StoreWorld, callSid: string, outcome: AttemptOutcome = ok): Promise<string> {
  await world.watch(callSid);
  const { jobs } = await world.see(callSid, "queued");
  for (const job of jobs) await world.record(job, outcome);
  return jobs[0]?.target.id ?? "";
}

async function recentOf(world: StoreWorld, endpointId: string, nowMs = world.nowMs) {
  const { id: accountId } = await world.account();
  const counted = await world.store.countAttempts({ accountId, endpointIds: [endpointId], nowMs });
  return counted.map(({ hour, day }) => [hour.succeeded, hour.failed, day.succeeded, day.failed]);
}

async function clean(world: StoreWorld): Promise<void> {
  for (;;) {
    const { more } = await world.store.deleteExpired({ beforeMs: world.nowMs - 30 * day, nowMs: world.nowMs, limit: 20 });
    if (!more) return;
  }
}

/** Attempts of an endpoint, counted for its success rates. */
export function attemptCountsSuite(backend: StoreBackend): void {
  describe("counts of attempts", () => {
    const open = worlds(backend);

    it("have every attempt but tests, with and without a failure", async () => {
      const world = await open();
      const endpointId = await attempt(world, "OUT-1");
      expect(await recentOf(world, endpointId)).toEqual([[1, 0, 1, 0]]);
      await attempt(world, "OUT-2", answered(500));
      await attempt(world, "OUT-3", answered(429));
      const { id: accountId } = await world.account();
      await world.record(expectKind(await world.store.createTest({ accountId, endpointId, nowMs: world.nowMs }), "claimed").job);
      expect(await recentOf(world, endpointId)).toEqual([[1, 2, 1, 2]]);
      const [silent] = (await world.store.listEndpoints({ accountId, limit: 5, cursor: null })).data;
      expect(silent?.endpoint.id).toBe(endpointId);
    });

    it("are those of the account alone", async () => {
      const world = await open();
      const endpointId = await attempt(world, "OUT-1");
      const other = await world.account("other");
      expect(await world.store.countAttempts({ accountId: other.id, endpointIds: [endpointId], nowMs: world.nowMs })).toEqual([]);
      expect(await world.store.countAttempts({ accountId: other.id, endpointIds: [], nowMs: world.nowMs })).toEqual([]);
    });

    it("leave the rate of the hour, then that of the day, whether they were folded or not", async () => {
      const world = await open();
      const endpointId = await attempt(world, "OUT-1");
      world.pass(30 * minute);
      await attempt(world, "OUT-2", answered(500));
      world.pass(45 * minute);
      expect(await recentOf(world, endpointId)).toEqual([[0, 1, 1, 1]]);
      await clean(world);
      expect(await recentOf(world, endpointId)).toEqual([[0, 1, 1, 1]]);
      world.pass(3 * hour);
      await attempt(world, "OUT-3");
      await attempt(world, "OUT-4");
      await clean(world);
      expect(await recentOf(world, endpointId)).toEqual([[2, 0, 3, 1]]);
      await clean(world);
      expect(await recentOf(world, endpointId)).toEqual([[2, 0, 3, 1]]);
      world.pass(22 * hour);
      await clean(world);
      expect(await recentOf(world, endpointId)).toEqual([[0, 0, 2, 0]]);
      world.pass(day);
      expect(await recentOf(world, endpointId)).toEqual([]);
    });

    it("are summed up by day after 8 days, and end with the retention", async () => {
      const world = await open();
      const endpointId = await attempt(world, "OUT-1");
      const startMs = world.nowMs;
      for (let n = 2; n < 5; n++) {
        world.pass(hour);
        await attempt(world, `OUT-${n}`);
      }
      world.pass(10 * day);
      await clean(world);
      // Read as of then: the day's count begins at midnight.
      expect(await recentOf(world, endpointId, startMs + 6 * hour)).toEqual([[0, 0, 4, 0]]);
      world.pass(22 * day);
      await clean(world);
      expect(await recentOf(world, endpointId, startMs + 6 * hour)).toEqual([]);
    });

    it("lose nothing while two servers fold them", async () => {
      const world = await open();
      const endpointId = await attempt(world, "OUT-1");
      for (let n = 2; n < 12; n++) {
        world.pass(minute);
        await attempt(world, `OUT-${n}`, n % 2 === 0 ? ok : answered(500));
      }
      const beside = await world.beside();
      world.pass(3 * hour);
      beside.nowMs = world.nowMs;
      await Promise.all([clean(world), clean(beside), clean(world), clean(beside)]);
      expect(await recentOf(world, endpointId)).toEqual([[0, 0, 6, 5]]);
    });
  });
}

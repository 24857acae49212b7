import { describe, expect, it } from "vitest";
import { sumOf, spansOf } from "../../src/domain/activity.ts";
import { answered, day, expectKind, hour, minute, only, second } from "../harness/store-drafts.ts";
import type { StoreWorld } from "../harness/store-drafts.ts";
import { worlds } from "./store-backend.ts";
import type { StoreBackend } from "./store-backend.ts";

async function activityOf(world: StoreWorld, { accountId = "", sinceMs = 0, stepMs = hour } = {}) {
  const id = accountId === "" ? (await world.account()).id : accountId;
  return world.store.readActivity({ accountId: id, sinceMs, stepMs });
}

/** Transitions, webhooks that were delivered and attempts that failed, in all. */
async function totals(world: StoreWorld, sinceMs = world.nowMs - 40 * day) {
  const { transitions, delivered, failed } = sumOf(
    spansOf(await activityOf(world, { sinceMs }), { sinceMs, untilMs: world.nowMs, stepMs: hour }),
  );
  return [transitions, delivered, failed];
}

async function clean(world: StoreWorld): Promise<void> {
  for (;;) {
    const { more } = await world.store.deleteExpired({ beforeMs: world.nowMs - 30 * day, nowMs: world.nowMs, limit: 20 });
    if (!more) return;
  }
}

/** What happened in an account over time, for pictures. */
export function activitySuite(backend: StoreBackend): void {
  describe("what happened in an account", () => {
    const open = worlds(backend);

    it("has transitions with the time in which they happened, and attempts with the time since the event", async () => {
      const world = await open();
      await world.watch("OUT-1");
      const job = only((await world.see("OUT-1", "queued")).jobs);
      world.pass(7 * second);
      await world.record(job, answered(500));
      world.pass(6 * second);
      for (const next of (await world.claim()).jobs) await world.record(next);
      const { id: accountId } = await world.account();
      const endpointId = job.target.id;
      await world.record(expectKind(await world.store.createTest({ accountId, endpointId, nowMs: world.nowMs }), "claimed").job);
      const sinceMs = world.nowMs - hour;
      const spans = spansOf(await activityOf(world, { sinceMs, stepMs: minute }), { sinceMs, untilMs: world.nowMs, stepMs: minute });
      const sum = sumOf(spans);
      // A test is no webhook of a call.
      expect([sum.transitions, sum.delivered, sum.failed]).toEqual([1, 1, 1]);
      // 13 s lie between 10 and 15.
      expect(sum.latency.findIndex((n) => n === 1)).toBe(14);
      expect(spans).toHaveLength(61);
    });

    it("counts a webhook that had arrived only once, however often it is sent again", async () => {
      const world = await open();
      await world.watch("OUT-1");
      const job = only((await world.see("OUT-1", "queued")).jobs);
      await world.record(job);
      world.pass(10 * minute);
      const { id: accountId } = await world.account();
      const again = async () =>
        expectKind(await world.store.claimManualRetry({ by: null, accountId, deliveryId: job.deliveryId, nowMs: world.nowMs }), "claimed")
          .job;
      await world.record(await again());
      // Its latency is that of the first time.
      expect(await totals(world)).toEqual([1, 1, 0]);
      world.pass(2 * second);
      await world.record(await again(), answered(500));
      expect(await totals(world)).toEqual([1, 1, 1]);
    });

    it("counts an event for each watch, for the account of the watch", async () => {
      const world = await open();
      await world.watch("OUT-1");
      await world.watch("OUT-1", { url: "https://b.example/" });
      const other = await world.account("other");
      await world.watch("OUT-1", { accountId: other.id });
      await world.see("OUT-1", "queued");
      expect(await totals(world)).toEqual([2, 0, 0]);
      const ofOther = await activityOf(world, { accountId: other.id });
      expect(ofOther.reduce((sum, { n }) => sum + n, 0)).toBe(1);
      world.pass(second);
      await world.see("OUT-1", "success");
      expect(await totals(world)).toEqual([4, 0, 0]);
    });

    it("is kept by minute, by hour, by day and as long as the retention, whether it was folded or not", async () => {
      const world = await open();
      const startMs = world.nowMs;
      for (let n = 1; n <= 5; n++) {
        await world.watch(`OUT-${n}`);
        for (const job of (await world.see(`OUT-${n}`, "queued")).jobs) await world.record(job);
        world.pass(20 * minute);
      }
      expect(await totals(world)).toEqual([5, 5, 0]);
      expect(new Set((await activityOf(world, { sinceMs: startMs, stepMs: minute })).map(({ atMs }) => atMs)).size).toBe(5);
      await clean(world);
      expect(await totals(world)).toEqual([5, 5, 0]);
      world.pass(3 * hour);
      await clean(world);
      expect(await totals(world)).toEqual([5, 5, 0]);
      expect(new Set((await activityOf(world, { sinceMs: startMs, stepMs: minute })).map(({ atMs }) => atMs % hour))).toEqual(new Set([0]));
      world.pass(9 * day);
      await clean(world);
      expect(new Set((await activityOf(world, { sinceMs: startMs - day, stepMs: minute })).map(({ atMs }) => atMs % day))).toEqual(
        new Set([0]),
      );
      expect(await totals(world)).toEqual([5, 5, 0]);
      world.pass(23 * day);
      await clean(world);
      expect(await totals(world)).toEqual([0, 0, 0]);
    });

    it("loses nothing while two servers fold it", async () => {
      const world = await open();
      for (let n = 1; n <= 8; n++) {
        await world.watch(`OUT-${n}`);
        for (const job of (await world.see(`OUT-${n}`, "queued")).jobs) await world.record(job);
        world.pass(minute);
      }
      const beside = await world.beside();
      world.pass(3 * hour);
      beside.nowMs = world.nowMs;
      await Promise.all([clean(world), clean(beside), clean(world), clean(beside)]);
      expect(await totals(world)).toEqual([8, 8, 0]);
    });

    it("ends with the account", async () => {
      const world = await open();
      const doomed = await world.account("doomed");
      await world.watch("OUT-1", { accountId: doomed.id });
      await world.see("OUT-1", "queued");
      expect(await activityOf(world, { accountId: doomed.id })).not.toEqual([]);
      await world.store.removeAccount({ accountId: doomed.id, nowMs: world.nowMs });
      world.pass(hour);
      while ((await world.store.sweepMark({ accountId: doomed.id, nowMs: world.nowMs })).kind !== "nothing");
      await clean(world);
      expect(await activityOf(world, { accountId: doomed.id })).toEqual([]);
    });
  });
}

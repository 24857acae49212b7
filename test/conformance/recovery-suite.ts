import { describe, expect, it } from "vitest";
import type { SendJob } from "../../src/ports/stores/send-job.ts";
import { answered, expectKind, hour, minute, ok, only, second, startMs, typesOf } from "../harness/store-drafts.ts";
import { worlds } from "./store-backend.ts";
import type { OpenWorld, StoreBackend } from "./store-backend.ts";

const broken = answered(500);
const receiver = "https://receiver.example/hook";
/** The second attempt follows in a minute, the third in an hour. */
const scheduleMs = [0, minute, hour, hour];

/** Makes deliveries of watches of their own, one after another, whose first two attempts failed. */
async function failTwice(world: OpenWorld, count: number, url = receiver): Promise<readonly SendJob[]> {
  const jobs: SendJob[] = [];
  for (let n = 0; n < count; n++) {
    const callSid = `OUT-${url}-${n}`;
    await world.watch(callSid, { url });
    jobs.push(only((await world.see(callSid, "queued")).jobs));
  }
  for (const job of jobs) await world.record(job, broken);
  world.pass(minute);
  // Backwards, so that the oldest waits for the latest time.
  for (const job of (await world.claim({ defaultCapacity: count })).jobs.toReversed()) {
    world.pass(1);
    await world.record(job, broken);
  }
  return jobs;
}

/** A test of the endpoint that the receiver takes. */
async function passTest(world: OpenWorld, { target, event }: SendJob) {
  const request = { accountId: event.accountId, endpointId: target.id, nowMs: world.nowMs };
  return world.record(expectKind(await world.store.createTest(request), "claimed").job);
}

const idsOf = (jobs: readonly Pick<SendJob, "deliveryId">[]) => jobs.map(({ deliveryId }) => deliveryId);

export function recoverySuite(backend: StoreBackend): void {
  describe("back from an outage", () => {
    const open = worlds(backend);

    it("the first 2xx makes due what waits for its schedule, oldest first, and a later 2xx changes nothing", async () => {
      const world = await open({ scheduleMs });
      const waiting = await failTwice(world, 5);
      expect((await world.claim()).jobs).toEqual([]);
      world.pass(second);
      await world.watch("OUT-new");
      const recorded = await world.record(only((await world.see("OUT-new", "queued")).jobs));
      expect(recorded).toMatchObject({ endpointNextDueAtMs: world.nowMs, endpoint: { health: { recoveredAtMs: world.nowMs } } });
      const recoveredAtMs = world.nowMs;
      world.pass(second);
      const sent: SendJob[] = [];
      for (let n = 0; n < 5; n++) {
        const job = only((await world.claim({ limit: 1 })).jobs);
        sent.push(job);
        expect((await world.record(job)).endpoint.health.recoveredAtMs).toBe(recoveredAtMs);
      }
      expect(idsOf(sent)).toEqual(idsOf(waiting));
      expect(sent.map(({ mode, attemptNumber }) => [mode, attemptNumber])).toEqual(Array.from({ length: 5 }, () => ["early", 3]));
      expect(await world.claim()).toEqual({ jobs: [], nextDueAtMs: null });
    });

    it("a failure spends nothing, leaves the next attempt where it was, and is not repeated in this step", async () => {
      const world = await open({ scheduleMs });
      const [poisoned, good] = await failTwice(world, 2);
      if (poisoned === undefined || good === undefined) throw new Error("there are two");
      const before = (await world.deliveryOf(poisoned)).view.delivery;
      world.pass(second);
      await passTest(world, poisoned);
      const [first, second_] = (await world.claim()).jobs;
      if (first === undefined || second_ === undefined) throw new Error("both are brought forward");
      expect(idsOf([first, second_])).toEqual(idsOf([poisoned, good]));
      expect((await world.record(first, broken)).attempt.decision).toBe("retry");
      // A 2xx after a failure: there is nothing left that was not tried in this step.
      await world.record(second_);
      const after = (await world.deliveryOf(poisoned)).view;
      expect(after.delivery).toEqual({ ...before, attemptCount: before.attemptCount + 1, lastRecovery: null });
      expect(await world.claim()).toEqual({ jobs: [], nextDueAtMs: before.nextAttemptAtMs });
      // Its regular attempt spends the step; the 2xx after that brings it forward again.
      world.nowMs = before.nextAttemptAtMs ?? 0;
      const regular = only((await world.claim()).jobs);
      expect(regular.mode).toBe("scheduled");
      await world.record(regular, broken);
      expect((await world.deliveryOf(poisoned)).view.delivery).toMatchObject({ stepsSpent: before.stepsSpent + 1 });
      expect((await world.claim()).jobs).toEqual([]);
      await passTest(world, poisoned);
      expect(only((await world.claim()).jobs).mode).toBe("early");
    });

    it("brings forward what failed before the 2xx, not what fails after it", async () => {
      const world = await open({ scheduleMs });
      const [waiting] = await failTwice(world, 1);
      if (waiting === undefined) throw new Error("there is one");
      await passTest(world, waiting);
      await world.watch("OUT-new");
      const fresh = only((await world.see("OUT-new", "queued")).jobs);
      await world.record(fresh, broken);
      expect(idsOf((await world.claim()).jobs)).toEqual(idsOf([waiting]));
    });

    it("is not ended by a failure, a lease given back or a restart", async () => {
      if (!backend.durable) return;
      const world = await open({ scheduleMs });
      const waiting = await failTwice(world, 3);
      const [head] = waiting;
      if (head === undefined) throw new Error("there are three");
      await passTest(world, head);
      await world.record(only((await world.claim({ limit: 1 })).jobs), broken);
      await world.release((await world.claim()).jobs);
      await world.restart();
      expect((await world.claim()).nextDueAtMs).not.toBeNull();
      expect(idsOf((await world.claim()).jobs)).toEqual([]);
      await world.restart();
      const { jobs } = await world.claim();
      expect(idsOf(jobs)).toEqual(idsOf(waiting.slice(1)));
      expect(jobs.map(({ mode }) => mode)).toEqual(["early", "early"]);
    });

    it("goes within the capacity, beside what is due and after what was due before", async () => {
      const world = await open({ scheduleMs });
      const [early] = await failTwice(world, 1);
      if (early === undefined) throw new Error("there is one");
      await world.watch("OUT-before");
      const before = only((await world.see("OUT-before", "queued")).jobs);
      await world.release([before]);
      world.pass(second);
      await passTest(world, early);
      world.pass(second);
      await world.watch("OUT-after");
      const after = only((await world.see("OUT-after", "queued")).jobs);
      await world.release([after]);
      expect((await world.claim({ capacityByEndpoint: [[early.target.id, 0]] })).jobs).toEqual([]);
      const { jobs } = await world.claim();
      expect(idsOf(jobs)).toEqual(idsOf([before, early, after]));
      expect(jobs.map(({ mode }) => mode)).toEqual(["scheduled", "early", "scheduled"]);
    });

    it("keeps the order of a lane: the second follows when the first is settled or failed again", async () => {
      for (const [outcome, isLast] of [
        [ok, true],
        [broken, false],
      ] as const) {
        const world = await open({ scheduleMs });
        const { view } = await world.watch("OUT-1");
        const first = only((await world.see("OUT-1", "queued")).jobs);
        await world.record(first, broken);
        await world.see("OUT-1", "calling");
        world.pass(minute);
        for (const job of (await world.claim()).jobs) await world.record(job, broken);
        world.pass(minute);
        for (const job of (await world.claim()).jobs) await world.record(job, broken);
        const request = { accountId: view.watch.accountId, endpointId: view.endpoint?.id ?? "", nowMs: world.nowMs };
        await world.record(expectKind(await world.store.createTest(request), "claimed").job);
        const head = only((await world.claim()).jobs);
        expect(head.event.type).toBe("call.queued");
        await world.record(head, outcome);
        const next = only((await world.claim()).jobs);
        expect([next.event.type, next.mode]).toEqual(["call.calling", "early"]);
        await world.record(next);
        expect((await world.claim()).nextDueAtMs === null).toBe(isLast);
      }
    });

    it("after a pause one delivery goes first, and its 2xx opens the rest", async () => {
      const world = await open({ scheduleMs });
      const waiting = await failTwice(world, 3);
      await world.watch("OUT-new");
      await world.record(only((await world.see("OUT-new", "queued")).jobs), answered(502));
      const [head] = waiting;
      if (head === undefined) throw new Error("there are three");
      // A test does not wait for a pause; its 2xx does not end it.
      await passTest(world, head);
      expect((await world.claim()).jobs).toEqual([]);
      world.pass(5 * second);
      const probe = only((await world.claim()).jobs);
      expect(idsOf([probe])).toEqual(idsOf([head]));
      expect((await world.claim()).jobs).toEqual([]);
      await world.record(probe);
      expect(idsOf((await world.claim()).jobs).slice(0, 2)).toEqual(idsOf(waiting.slice(1)));
    });

    it("goes on after the pause if the receiver defers it, and spends nothing until its regular time", async () => {
      const world = await open({ scheduleMs });
      const [job] = await failTwice(world, 1);
      if (job === undefined) throw new Error("there is one");
      const regularAtMs = (await world.deliveryOf(job)).view.delivery.nextAttemptAtMs ?? 0;
      await passTest(world, job);
      await world.record(only((await world.claim()).jobs), answered(429, "60"));
      expect((await world.deliveryOf(job)).view.delivery).toMatchObject({ nextAttemptAtMs: world.nowMs + minute, stepsSpent: 2 });
      world.pass(minute);
      await world.record(only((await world.claim()).jobs), broken);
      expect((await world.deliveryOf(job)).view.delivery).toMatchObject({
        nextAttemptAtMs: regularAtMs,
        stepsSpent: 2,
        scheduledAtMs: null,
      });
      await passTest(world, job);
      expect((await world.claim()).jobs).toEqual([]);
    });

    it("waits while the owner pauses the endpoint, and a requeue begins a fresh schedule", async () => {
      const world = await open({ scheduleMs });
      const [job] = await failTwice(world, 1);
      if (job === undefined) throw new Error("there is one");
      const request = { accountId: job.event.accountId, endpointId: job.target.id, nowMs: world.nowMs };
      const patch = (state: "paused" | "disabled" | "enabled") => world.store.patchEndpoint({ by: null, ...request, patch: { state } });
      await patch("paused");
      await passTest(world, job);
      expect((await world.claim()).jobs).toEqual([]);
      await patch("enabled");
      const early = only((await world.claim()).jobs);
      expect(early.mode).toBe("early");
      await world.release([early]);
      await patch("disabled");
      expect((await world.claim()).jobs).toEqual([]);
      await patch("enabled");
      expect(only((await world.claim()).jobs)).toMatchObject({ mode: "scheduled", stepsSpent: 0 });
    });

    it("shows the time of the 2xx as the next attempt of what it brings forward", async () => {
      const world = await open({ scheduleMs });
      const [job] = await failTwice(world, 1);
      if (job === undefined) throw new Error("there is one");
      const { accountId } = job.event;
      world.pass(second);
      await passTest(world, job);
      const recoveredAtMs = world.nowMs;
      world.pass(second);
      expect((await world.deliveryOf(job)).view).toMatchObject({ dueAtMs: recoveredAtMs, delivery: { nextAttemptAtMs: recoveredAtMs } });
      const event = await world.store.getEvent(accountId, job.event.id);
      expect(event?.deliveries).toMatchObject([{ nextAttemptAtMs: recoveredAtMs }]);
      expect((await world.store.getEndpoint(accountId, job.target.id))?.oldestDueAtMs).toBe(recoveredAtMs);
    });

    it("moves with the schedule when the clock was set back", async () => {
      const world = await open({ scheduleMs });
      const [job] = await failTwice(world, 1);
      if (job === undefined) throw new Error("there is one");
      const regularAtMs = (await world.deliveryOf(job)).view.delivery.nextAttemptAtMs ?? 0;
      await passTest(world, job);
      await world.store.moveSchedule(hour);
      world.pass(-hour);
      const early = only((await world.claim()).jobs);
      expect(early.mode).toBe("early");
      await world.record(early, broken);
      expect((await world.deliveryOf(job)).view.delivery.nextAttemptAtMs).toBe(regularAtMs - hour);
      await passTest(world, job);
      expect(typesOf((await world.claim()).jobs)).toEqual([]);
      expect(world.nowMs).toBeLessThan(startMs);
    });

    it("goes on with what a dead server was about to send", async () => {
      if (!backend.shared) return;
      const world = await open({ scheduleMs });
      const beside = await world.beside();
      const waiting = await failTwice(world, 2);
      const [head] = waiting;
      if (head === undefined) throw new Error("there are two");
      beside.nowMs = world.nowMs;
      await passTest(world, head);
      expect(idsOf((await beside.claim()).jobs)).toEqual(idsOf(waiting));
      await beside.evict();
      expect(idsOf((await world.claim()).jobs)).toEqual(idsOf(waiting));
    });

    it("is no matter of other endpoints", async () => {
      const world = await open({ scheduleMs });
      const [job] = await failTwice(world, 1);
      const [other] = await failTwice(world, 1, "https://other.example/hook");
      if (job === undefined || other === undefined) throw new Error("there is one each");
      await passTest(world, other);
      expect(idsOf((await world.claim()).jobs)).toEqual(idsOf([other]));
    });
  });
}

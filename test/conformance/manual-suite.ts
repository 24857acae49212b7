import { describe, expect, it } from "vitest";
import { answered, expectKind, hour, minute, only, startMs } from "../harness/store-drafts.ts";
import { makeDue } from "./deliveries-suite.ts";
import { worlds } from "./store-backend.ts";
import type { StoreBackend } from "./store-backend.ts";

const receiver = "https://receiver.example/hook";
const broken = { kind: "failed", code: "connect", detail: "refused", statusCode: null, permanent: false } as const;

export function manualSuite(backend: StoreBackend): void {
  describe("manual deliveries", () => {
    const open = worlds(backend);

    it("one attempt now, ahead of schedule, pause and order; failure leaves the schedule", async () => {
      const world = await open();
      const job = only(await makeDue(world, [receiver]));
      const { id: accountId } = await world.account();
      await world.record(only((await world.claim()).jobs), answered(503, "600"));
      const claimed = await world.store.claimManualRetry({ by: null, accountId, deliveryId: job.deliveryId, nowMs: world.nowMs });
      const manual = expectKind(claimed, "claimed").job;
      expect(manual).toMatchObject({ mode: "manual", attemptNumber: 2 });
      expect(await world.store.claimManualRetry({ by: null, accountId, deliveryId: job.deliveryId, nowMs: world.nowMs })).toEqual({
        kind: "in_flight",
      });
      const failed = await world.record(manual, broken);
      expect(failed.delivery).toMatchObject({
        status: "pending",
        stepsSpent: 0,
        attemptCount: 2,
        nextAttemptAtMs: startMs + 10 * minute,
      });
      world.pass(10 * minute);
      expect((await world.claim()).jobs).toHaveLength(1);
    });

    it("settles what was given up", async () => {
      const world = await open({ scheduleMs: [0] });
      const job = only(await makeDue(world, [receiver]));
      const { id: accountId } = await world.account();
      expect((await world.record(only((await world.claim()).jobs), broken)).delivery.status).toBe("exhausted");
      const manual = expectKind(
        await world.store.claimManualRetry({ by: null, accountId, deliveryId: job.deliveryId, nowMs: world.nowMs }),
        "claimed",
      ).job;
      expect((await world.record(manual)).delivery.status).toBe("delivered");
      expect(await world.store.claimManualRetry({ by: null, accountId, deliveryId: "dlv_unknown", nowMs: world.nowMs })).toEqual({
        kind: "unknown",
      });
      const other = await world.account("other");
      expect(await world.store.claimManualRetry({ by: null, accountId: other.id, deliveryId: job.deliveryId, nowMs: world.nowMs })).toEqual(
        {
          kind: "unknown",
        },
      );
    });

    it.each(["its lease is given back", "its server is gone"])("a retry of what is settled is made though %s", async (how) => {
      const isRestart = how === "its server is gone";
      if (isRestart && !backend.durable) return;
      const world = await open({ scheduleMs: [0] });
      const job = only(await makeDue(world, [receiver]));
      const { id: accountId } = await world.account();
      await world.record(only((await world.claim()).jobs), broken);
      const retry = { by: null, accountId, deliveryId: job.deliveryId, nowMs: world.nowMs };
      const accepted = expectKind(await world.store.claimManualRetry(retry), "claimed").job;
      expect((await world.claim()).jobs).toEqual([]);
      if (isRestart) await world.restart();
      else await world.release([accepted]);
      expect((await world.claim({ limit: 0 })).jobs).toEqual([]);
      const again = only((await world.claim()).jobs);
      expect(again).toMatchObject({ deliveryId: job.deliveryId, mode: "manual", attemptNumber: 2 });
      expect(await world.store.claimManualRetry(retry)).toEqual({ kind: "in_flight" });
      expect((await world.record(again, broken)).delivery).toMatchObject({ status: "exhausted", attemptCount: 2, nextAttemptAtMs: null });
      // That was the one attempt.
      await world.release([again]);
      expect((await world.claim()).jobs).toEqual([]);
    });

    it.each(["its lease is given back", "its server is gone"])(
      "a retry of what is pending is made ahead of its schedule though %s",
      async (how) => {
        const isRestart = how === "its server is gone";
        if (isRestart && !backend.durable) return;
        const world = await open();
        const job = only(await makeDue(world, [receiver]));
        const { id: accountId } = await world.account();
        await world.record(only((await world.claim()).jobs), answered(503, "600"));
        const retry = { by: null, accountId, deliveryId: job.deliveryId, nowMs: world.nowMs };
        const accepted = expectKind(await world.store.claimManualRetry(retry), "claimed").job;
        if (isRestart) await world.restart();
        else await world.release([accepted]);
        const again = only((await world.claim()).jobs);
        expect(again).toMatchObject({ deliveryId: job.deliveryId, mode: "manual", attemptNumber: 2 });
        expect((await world.record(again, broken)).delivery).toMatchObject({
          status: "pending",
          stepsSpent: 0,
          attemptCount: 2,
          nextAttemptAtMs: startMs + 10 * minute,
        });
        // That was the one attempt: the next one waits for the schedule.
        expect((await world.claim()).jobs).toEqual([]);
        world.pass(10 * minute);
        expect(only((await world.claim()).jobs)).toMatchObject({ mode: "scheduled", attemptNumber: 3 });
      },
    );

    it("a scheduled attempt serves a retry that was accepted before it", async () => {
      const world = await open({ scheduleMs: [0, minute, hour] });
      const job = only(await makeDue(world, [receiver]));
      const { id: accountId } = await world.account();
      const retry = { by: null, accountId, deliveryId: job.deliveryId, nowMs: world.nowMs };
      await world.release([expectKind(await world.store.claimManualRetry(retry), "claimed").job]);
      // Recorded as the scheduled attempt of a claim that had the delivery first.
      const claimed = only((await world.claim()).jobs);
      expect((await world.record({ ...claimed, mode: "scheduled" })).delivery.status).toBe("delivered");
      expect((await world.claim()).jobs).toEqual([]);
    });

    it("a retry of what is pending is given up with its watch, and at a disabled endpoint", async () => {
      const world = await open({ scheduleMs: [0, hour] });
      const [first, second] = await makeDue(world, [receiver, "https://other.example/"]);
      if (first === undefined || second === undefined) throw new Error("expected two jobs");
      const { id: accountId } = await world.account();
      for (const job of (await world.claim()).jobs) await world.record(job, broken);
      for (const { deliveryId } of [first, second]) {
        const retry = { by: null, accountId, deliveryId, nowMs: world.nowMs };
        await world.release([expectKind(await world.store.claimManualRetry(retry), "claimed").job]);
      }
      const { id: endpointId } = first.target;
      await world.store.patchEndpoint({ by: null, accountId, endpointId, patch: { state: "disabled" }, nowMs: world.nowMs });
      const { watchId } = (await world.deliveryOf(second)).view.delivery;
      await world.store.removeWatch({ by: null, accountId, watchId: watchId ?? "", purge: false, nowMs: world.nowMs });
      expect((await world.claim()).jobs).toEqual([]);
      await world.store.patchEndpoint({ by: null, accountId, endpointId, patch: { state: "enabled" }, nowMs: world.nowMs });
      expect((await world.claim()).jobs).toMatchObject([{ deliveryId: first.deliveryId, mode: "scheduled" }]);
    });

    it("a retry of what may be sent no more is given up", async () => {
      const world = await open({ scheduleMs: [0] });
      const [first, second] = await makeDue(world, [receiver, "https://other.example/"]);
      if (first === undefined || second === undefined) throw new Error("expected two jobs");
      const { id: accountId } = await world.account();
      for (const job of (await world.claim()).jobs) await world.record(job, broken);
      for (const { deliveryId } of [first, second]) {
        const retry = { by: null, accountId, deliveryId, nowMs: world.nowMs };
        await world.release([expectKind(await world.store.claimManualRetry(retry), "claimed").job]);
      }
      const { id: endpointId } = first.target;
      await world.store.patchEndpoint({ by: null, accountId, endpointId, patch: { state: "disabled" }, nowMs: world.nowMs });
      const { watchId } = (await world.deliveryOf(second)).view.delivery;
      await world.store.removeWatch({ by: null, accountId, watchId: watchId ?? "", purge: false, nowMs: world.nowMs });
      expect((await world.claim()).jobs).toEqual([]);
      await world.store.patchEndpoint({ by: null, accountId, endpointId, patch: { state: "enabled" }, nowMs: world.nowMs });
      expect((await world.claim()).jobs).toEqual([]);
      expect((await world.deliveryOf(first)).view.delivery).toMatchObject({ status: "exhausted", nextAttemptAtMs: null });
    });

    it("a test is one delivery for one moment", async () => {
      const world = await open();
      const { view } = await world.watch("OUT-1");
      const { accountId } = view.watch;
      const endpointId = view.endpoint?.id ?? "";
      const { job } = expectKind(await world.store.createTest({ accountId, endpointId, nowMs: world.nowMs }), "claimed");
      expect(job).toMatchObject({
        mode: "manual",
        event: { type: "endpoint.test", timestampMs: startMs, data: { watchId: null, sequence: null, metadata: {} } },
      });
      expect(await world.record(job, answered(500))).toMatchObject({
        delivery: { status: "failed" },
        jobs: [],
        endpoint: { health: { consecutiveFailures: 0 } },
      });
      const dropped = expectKind(await world.store.createTest({ accountId, endpointId, nowMs: world.nowMs }), "claimed").job;
      world.pass(minute);
      await world.release([dropped]);
      expect((await world.deliveryOf(dropped)).view.delivery).toMatchObject({ status: "canceled", settledAtMs: startMs + minute });
      expect((await world.claim()).jobs).toEqual([]);
      expect(await world.store.createTest({ accountId, endpointId: "ep_unknown", nowMs: world.nowMs })).toEqual({ kind: "unknown" });
    });

    it("recovers what was given up in the span, once, with a fresh schedule", async () => {
      const world = await open({ scheduleMs: [0, minute] });
      const { view } = await world.watch("OUT-1", { url: receiver });
      const { accountId } = view.watch;
      const endpointId = view.endpoint?.id ?? "";
      await world.watch("OUT-2", { url: receiver });
      const early = only((await world.see("OUT-1", "queued")).jobs);
      await world.record(early, broken);
      world.pass(hour);
      await world.record(only((await world.claim()).jobs), broken);
      const gone = only((await world.see("OUT-2", "queued")).jobs);
      await world.record(gone, { ...broken, permanent: true });
      expect((await world.deliveryOf(gone)).view.delivery.status).toBe("failed");
      const recover = (sinceMs: number, untilMs: number) =>
        world.store.recover({ by: null, accountId, endpointId, sinceMs, untilMs, nowMs: world.nowMs });
      expect(await recover(startMs + 1, startMs + hour - 1)).toEqual({ kind: "recovered", recovered: 0, hurried: 0, more: false });
      expect(await recover(startMs, startMs + hour)).toEqual({ kind: "recovered", recovered: 2, hurried: 0, more: false });
      expect(await recover(startMs, startMs + hour)).toEqual({ kind: "recovered", recovered: 0, hurried: 0, more: false });
      const { jobs } = await world.claim();
      expect(jobs.map((job) => [job.attemptNumber, job.stepsSpent])).toEqual([
        [3, 0],
        [2, 0],
      ]);
      expect(
        await world.store.recover({ by: null, accountId, endpointId: "ep_unknown", sinceMs: 0, untilMs: 1, nowMs: world.nowMs }),
      ).toEqual({
        kind: "unknown",
      });
    });

    it("recovers nothing of a deleted watch", async () => {
      const world = await open({ scheduleMs: [0] });
      const { view } = await world.watch("OUT-1");
      await world.record(only((await world.see("OUT-1", "success")).jobs), broken);
      const { accountId, id: watchId } = view.watch;
      await world.store.removeWatch({ by: null, accountId, watchId, purge: false, nowMs: world.nowMs });
      expect(
        await world.store.recover({
          by: null,
          accountId,
          endpointId: view.endpoint?.id ?? "",
          sinceMs: 0,
          untilMs: world.nowMs,
          nowMs: world.nowMs,
        }),
      ).toEqual({ kind: "recovered", recovered: 0, hurried: 0, more: false });
    });
  });
}

import { describe, expect, it } from "vitest";
import { answered, day, expectKind, hour, minute, ok, only, second, startMs, testPolicy, typesOf } from "../harness/store-drafts.ts";
import type { OpenWorld } from "./store-backend.ts";
import { worlds } from "./store-backend.ts";
import type { StoreBackend } from "./store-backend.ts";

const receiver = "https://receiver.example/hook";
const broken = { kind: "failed", code: "connect", detail: "refused", statusCode: null, permanent: false } as const;

let dueCalls = 0;

/** Makes a watch with one delivery for each URL; all are due and not leased. */
export async function makeDue(world: OpenWorld, urls: readonly string[]) {
  const jobs = [];
  for (const url of urls) {
    const callSid = `OUT-due-${++dueCalls}`;
    await world.watch(callSid, { url });
    jobs.push(...(await world.see(callSid, "queued")).jobs);
  }
  await world.release(jobs);
  return jobs;
}

/** How many jobs go to each of the three hosts. */
const counts = (jobs: readonly { readonly target: { readonly origin: string } }[]) =>
  ["https://receiver.example:443", "https://once.example:443", "https://other.example:443"].map(
    (origin) => jobs.filter((job) => job.target.origin === origin).length,
  );

export function deliveriesSuite(backend: StoreBackend): void {
  describe("deliveries", () => {
    const open = worlds(backend);

    it("are leased by the commit that makes them", async () => {
      const world = await open();
      await world.watch("OUT-1");
      const job = only((await world.see("OUT-1", "queued")).jobs);
      expect(job).toMatchObject({
        attemptNumber: 1,
        stepsSpent: 0,
        mode: "scheduled",
        createdAtMs: startMs,
        target: { url: receiver, origin: "https://receiver.example:443", format: "standard", sealedHeaders: null, hostPausedUntilMs: null },
      });
      expect((await world.claim()).jobs).toEqual([]);
      expect((await world.deliveryOf(job)).view).toMatchObject({
        leased: true,
        dueAtMs: startMs,
        blockedBySequence: null,
        delivery: { status: "pending", attemptCount: 0 },
      });
    });

    it("keep the first 10 and the newest 100 of their attempts, and show the newest", async () => {
      const world = await open();
      const [job] = await makeDue(world, [receiver]);
      const delivery = { deliveryId: job?.deliveryId ?? "" };
      const accountId = (await world.account()).id;
      for (let number = 1; number <= 113; number++) {
        world.pass(second);
        const claimed = await world.store.claimManualRetry({ by: null, accountId, ...delivery, nowMs: world.nowMs });
        await world.record(expectKind(claimed, "claimed").job, answered(429, "1"));
      }
      const numbers = (await world.deliveryOf(delivery)).attempts.map(({ number }) => number);
      expect([numbers.length, numbers[0], numbers.at(-1)]).toEqual([100, 14, 113]);
      expect((await world.deliveryOf(delivery)).view.delivery.attemptCount).toBe(113);
    });

    it("given back are due as they were; a lease is good once", async () => {
      const world = await open();
      const job = only(await makeDue(world, [receiver]));
      const again = only((await world.claim()).jobs);
      expect(again).toMatchObject({ deliveryId: job.deliveryId, attemptNumber: 1 });
      expect(again.leaseToken).not.toBe(job.leaseToken);
      expect(await world.attempt(job)).toEqual({ kind: "fenced" });
      await world.release([job]);
      expect((await world.claim()).jobs).toEqual([]);
      await world.record(again);
      expect(await world.attempt(again)).toEqual({ kind: "fenced" });
    });

    it("are claimed by one of two who ask at the same moment", async () => {
      const world = await open();
      await makeDue(
        world,
        Array.from({ length: 6 }, (_, n) => `https://r${n}.example/`),
      );
      const [one, two] = await Promise.all([world.claim({ limit: 4 }), world.claim({ limit: 4 })]);
      const ids = [...one.jobs, ...two.jobs].map((job) => job.deliveryId);
      expect([one.jobs.length, two.jobs.length, new Set(ids).size]).toEqual([4, 2, 6]);
    });

    it("that succeed are settled with their attempt", async () => {
      const world = await open();
      const [job] = await makeDue(world, [receiver])
        .then(() => world.claim())
        .then(({ jobs }) => jobs);
      if (job === undefined) throw new Error("nothing is due");
      const recorded = await world.record(job, ok);
      expect(recorded).toMatchObject({
        delivery: { status: "delivered", settledAtMs: startMs, nextAttemptAtMs: null },
        endpoint: { state: "enabled", health: { lastSuccessAtMs: startMs } },
        jobs: [],
        endpointNextDueAtMs: null,
      });
      const { attempts, view } = await world.deliveryOf(job);
      expect(attempts).toMatchObject([
        { number: 1, startedAtMs: startMs, statusCode: 200, error: null, responseExcerpt: "fine", decision: "delivered" },
      ]);
      expect(view).toMatchObject({ leased: false, dueAtMs: null });
    });

    it("that fail come back on the schedule, and are exhausted at its end", async () => {
      const world = await open();
      const job = only(await makeDue(world, [receiver]));
      for (const [step, delayMs] of testPolicy.scheduleMs.entries()) {
        world.pass(delayMs - 1);
        if (step > 0) expect((await world.claim()).jobs).toEqual([]);
        world.pass(1);
        const next = only((await world.claim()).jobs);
        expect(next).toMatchObject({ attemptNumber: step + 1, stepsSpent: step });
        const recorded = await world.record(next, broken);
        const last = step === testPolicy.scheduleMs.length - 1;
        expect(recorded.delivery.status).toBe(last ? "exhausted" : "pending");
        expect(recorded.endpointNextDueAtMs).toBe(recorded.delivery.nextAttemptAtMs);
        expect((await world.claim()).nextDueAtMs).toBe(recorded.delivery.nextAttemptAtMs);
      }
      expect((await world.deliveryOf(job)).attempts.map((attempt) => attempt.decision)).toEqual(["retry", "retry", "retry", "exhausted"]);
    });

    describe("claims", () => {
      it("keep to the room of endpoint, host and all", async () => {
        const world = await open();
        await makeDue(world, [
          ...Array.from({ length: 9 }, () => receiver),
          ...Array.from({ length: 5 }, (_, n) => `https://once.example/${n}`),
          "https://other.example/",
        ]);
        const { id: accountId } = await world.account();
        const endpoints = (await world.store.listEndpoints({ accountId, limit: 50, cursor: null })).data;
        const receiverId = endpoints.find(({ endpoint }) => endpoint.url === receiver)?.endpoint.id ?? "";
        expect((await world.claim({ limit: 2 })).jobs).toHaveLength(2);
        expect((await world.claim({ limit: 0 })).jobs).toEqual([]);
        const capacityByHost = [[`${accountId} https://receiver.example:443`, 6]] as const;
        const { jobs } = await world.claim({ capacityByEndpoint: [[receiverId, 5]], capacityByHost });
        expect(counts(jobs)).toEqual([5, 4, 1]);
        expect(
          counts(
            (await world.claim({ capacityByEndpoint: [[receiverId, 0]], capacityByHost: [[`${accountId} https://once.example:443`, 0]] }))
              .jobs,
          ),
        ).toEqual([0, 0, 0]);
        expect(counts((await world.claim()).jobs)).toEqual([2, 1, 0]);
      });

      it("take the oldest due first", async () => {
        const world = await open();
        await makeDue(world, ["https://a.example/"]);
        world.pass(second);
        await world.watch("OUT-b", { url: "https://b.example/" });
        await world.release((await world.see("OUT-b", "queued")).jobs);
        expect(only((await world.claim({ limit: 1 })).jobs).target.url).toBe("https://a.example/");
      });

      it("take at most `failingLimit` of failing endpoints, and those never hide the others", async () => {
        const world = await open();
        const dead = Array.from({ length: 12 }, (_, n) => `https://dead${n % 6}.example/${n}`);
        await makeDue(world, dead);
        for (const job of (await world.claim()).jobs) await world.record(job, answered(500));
        world.pass(minute);
        await makeDue(world, ["https://alive.example/", "https://dead0.example/alive"]);
        const none = await world.claim({ limit: 3, failingLimit: 0 });
        expect(none.jobs.map((job) => job.target.url).toSorted()).toEqual(["https://alive.example/", "https://dead0.example/alive"]);
        const some = await world.claim({ limit: 50, failingLimit: 5 });
        expect(some.jobs).toHaveLength(5);
        expect((await world.claim()).jobs).toHaveLength(7);
      });
    });

    it("behind what was removed meanwhile are found by who asks again while something is said to be due", async () => {
      const world = await open();
      const { id: accountId } = await world.account();
      const first = only(await makeDue(world, ["https://once.example/first"]));
      await world.record(only((await world.claim()).jobs), answered(503, "60"));
      // Due before the other, and gone before the pause of their host is over.
      const watches: string[] = [];
      for (let n = 0; n < 20; n++) {
        watches.push((await world.watch(`OUT-gone-${n}`, { url: `https://once.example/${n}` })).view.watch.id);
        await world.see(`OUT-gone-${n}`, "queued");
      }
      for (const watchId of watches) await world.store.removeWatch({ by: null, accountId, watchId, purge: false, nowMs: world.nowMs });
      world.pass(minute);
      for (;;) {
        const { jobs, nextDueAtMs } = await world.claim();
        if (jobs.length > 0) {
          expect(only(jobs).deliveryId).toBe(first.deliveryId);
          break;
        }
        expect(nextDueAtMs ?? Infinity).toBeLessThanOrEqual(world.nowMs);
      }
    });

    describe("pauses", () => {
      it("hold for every endpoint of the account's host, one delivery goes first, a 2xx opens the rest", async () => {
        const world = await open();
        const other = await world.account("other");
        await makeDue(world, ["https://once.example/1", "https://once.example/2", "https://once.example/3", "https://else.example/"]);
        await world.watch("OUT-theirs", { accountId: other.id, url: "https://once.example/theirs" });
        const first = only((await world.claim({ limit: 1 })).jobs);
        const recorded = await world.record(first, answered(503, "10"));
        expect(recorded).toMatchObject({
          delivery: { status: "pending", stepsSpent: 0, nextAttemptAtMs: startMs + 10 * second },
          endpoint: { hostPausedUntilMs: startMs + 10 * second },
        });
        const meanwhile = await world.claim();
        expect(meanwhile).toMatchObject({ nextDueAtMs: startMs + 10 * second });
        expect(meanwhile.jobs.map((job) => job.target.url)).toEqual(["https://else.example/"]);
        // Another account's traffic to the host is not touched, and this account's waits in the store.
        expect((await world.see("OUT-theirs", "queued")).jobs).toHaveLength(1);
        await world.watch("OUT-4", { url: "https://once.example/4" });
        expect((await world.see("OUT-4", "queued")).jobs).toEqual([]);
        world.pass(10 * second);
        const probe = only((await world.claim()).jobs);
        expect((await world.claim()).jobs).toEqual([]);
        const opened = await world.record(probe, ok);
        expect(opened.endpointNextDueAtMs).toBeLessThanOrEqual(world.nowMs);
        expect((await world.claim()).jobs).toHaveLength(3);
      });

      it("of a 429 hold for its URL alone, and for the host once another URL of it answers so within a minute", async () => {
        const world = await open();
        await makeDue(world, ["https://once.example/1", "https://once.example/2", "https://once.example/3"]);
        const [first, another] = (await world.claim({ limit: 2 })).jobs;
        if (first === undefined || another === undefined) throw new Error("expected two jobs");
        const alone = await world.record(first, answered(429, "30"));
        expect(alone.endpoint).toMatchObject({ hostPausedUntilMs: null, health: { pausedUntilMs: startMs + 30 * second } });
        world.pass(20 * second);
        const spread = await world.record(another, answered(429));
        expect(spread.endpoint).toMatchObject({ hostPausedUntilMs: world.nowMs + 5 * second });
        expect(await world.claim()).toEqual({ jobs: [], nextDueAtMs: world.nowMs + 5 * second });
        world.pass(5 * second);
        expect((await world.claim()).jobs).toHaveLength(1);
      });

      it("of a 429 hold for the host at once if that has a rate limit of its own", async () => {
        const world = await open({ rateLimitedHosts: ["once.example"] });
        await makeDue(world, ["https://once.example/1", "https://once.example/2"]);
        await world.record(only((await world.claim({ limit: 1 })).jobs), answered(429, "30"));
        expect(await world.claim()).toEqual({ jobs: [], nextDueAtMs: startMs + 30 * second });
      });

      it("double while they continue, regardless of Retry-After", async () => {
        const world = await open();
        await makeDue(world, [receiver]);
        for (const pauseMs of [5 * second, 10 * second, 20 * second]) {
          const { endpoint } = await world.record(only((await world.claim()).jobs), answered(503, "1"));
          expect(endpoint.hostPausedUntilMs).toBe(world.nowMs + pauseMs);
          world.pass(pauseMs);
        }
      });

      it("survive a restart", async () => {
        if (!backend.durable) return;
        const world = await open();
        await makeDue(world, [receiver]);
        await world.record(only((await world.claim()).jobs), answered(429, "60"));
        await world.restart();
        expect(await world.claim()).toEqual({ jobs: [], nextDueAtMs: startMs + minute });
      });
    });

    it("are due so much earlier when the clock was set back", async () => {
      const world = await open();
      const job = only(await makeDue(world, [receiver]));
      await world.record(only((await world.claim()).jobs), answered(503, "3600"));
      await world.store.moveSchedule(day);
      world.nowMs = startMs + hour - day - 1;
      expect(await world.claim()).toEqual({ jobs: [], nextDueAtMs: startMs + hour - day });
      world.pass(1);
      expect(only((await world.claim()).jobs).deliveryId).toBe(job.deliveryId);
    });

    it("whose lease was held by a server that is gone are due again at the start", async () => {
      if (!backend.durable) return;
      const world = await open();
      await world.watch("OUT-1");
      const job = only((await world.see("OUT-1", "queued")).jobs);
      const { accountId } = job.event;
      const test = expectKind(await world.store.createTest({ accountId, endpointId: job.target.id, nowMs: world.nowMs }), "claimed").job;
      await world.restart();
      expect(typesOf((await world.claim()).jobs)).toEqual(["call.queued"]);
      expect((await world.deliveryOf(test)).view.delivery.status).toBe("canceled");
    });
  });
}

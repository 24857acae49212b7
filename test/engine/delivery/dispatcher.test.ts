import { describe, expect, test } from "vitest";
import { StoreUnavailableError } from "../../../src/domain/errors.ts";
import type { EndpointPatch } from "../../../src/ports/stores/endpoint-store.ts";
import type { SendJob } from "../../../src/ports/stores/send-job.ts";
import { DeliveryWorld } from "../../harness/delivery-world.ts";
import { expectKind, hour, minute, only, second } from "../../harness/store-drafts.ts";

/** Creates a promise and the function that resolves it. */
function latch() {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { opened: promise, open: resolve };
}

/** Never answered. */
const never = () => Promise.withResolvers<never>().promise;

function urls(count: number, urlOf: (n: number) => string): readonly string[] {
  return Array.from({ length: count }, (_, n) => urlOf(n));
}

const typeOf = (body: string) => (JSON.parse(body) as { readonly type: string }).type;
const sidOf = (body: string) => (JSON.parse(body) as { readonly data: { readonly call_sid: string } }).data.call_sid;

async function patch(world: DeliveryWorld, endpointId: string | null, patch: EndpointPatch): Promise<void> {
  const { id: accountId } = await world.registrations.account();
  await world.store.patchEndpoint({ by: null, accountId, endpointId: endpointId ?? "", patch, nowMs: world.clock.nowMs() });
}

describe("a claimed delivery", () => {
  test("is sent at once and recorded as delivered", async () => {
    const world = await DeliveryWorld.open();
    const receiver = await world.receive();
    await world.watch("OUT-1", { url: receiver.url() });
    await world.see("OUT-1", "queued");
    await world.settle();
    expect(receiver.received.map(({ path }) => path)).toEqual(["/hook"]);
    expect((await world.deliveries()).map(({ delivery }) => delivery.status)).toEqual(["delivered"]);
  });

  test("is sent on behalf of its account, so that slow name servers of one account delay no other", async () => {
    const world = await DeliveryWorld.open();
    const receiver = await world.receive();
    await world.watch("OUT-1", { url: receiver.url() });
    await world.see("OUT-1", "queued");
    await world.settle();
    const { id: accountId } = await world.registrations.account();
    expect(world.sent.map((request) => request.accountId)).toEqual([accountId]);
  });

  test("comes back on its schedule without a tick, by one timer for all, and none is left after the stop", async () => {
    const world = await DeliveryWorld.open({ policy: { scheduleMs: [0, 5 * second, 40 * 24 * hour] } });
    const receiver = await world.receive(() => 500);
    await world.addPending(urls(50, (n) => receiver.url(`/${n}`)));
    await world.settle();
    expect(receiver.received).toHaveLength(50);
    expect(world.clock.timerCount).toBe(1);
    await world.clock.advance(5 * second);
    expect(receiver.received).toHaveLength(100);
    expect(world.clock.timerCount).toBe(1);
    await world.clock.advance(hour);
    expect(receiver.received).toHaveLength(100);
    await world.dispatcher.stop(0);
    expect(world.clock.timerCount).toBe(0);
  });
});

describe("rates", () => {
  test("a delivery that waits for its endpoint's next token is sent when the token arrives, without another wake", async () => {
    const world = await DeliveryWorld.open();
    const receiver = await world.receive();
    const { view } = await world.watch("OUT-first", { url: receiver.url() });
    await patch(world, view.watch.endpointId, { maxPerSecond: 1 });
    await world.addPending(urls(8, () => receiver.url()));
    await world.settle();
    expect(receiver.received).toHaveLength(1);
    for (let sent = 2; sent <= 8; sent++) {
      await world.clock.advance(second - 1);
      expect(receiver.received).toHaveLength(sent - 1);
      await world.clock.advance(1);
      expect(receiver.received).toHaveLength(sent);
    }
  });
});

describe("isolation", () => {
  test("jobs buffered for dead endpoints leave permits for live ones", async () => {
    const world = await DeliveryWorld.open({ limits: { maxInFlight: 8 }, policy: { scheduleMs: [0, second, hour] } });
    // Each fails once, so that it is known to fail, and hangs from then on.
    const dead = await Promise.all(Array.from({ length: 8 }, () => world.receive(({ number }) => (number === 1 ? 500 : never()))));
    const live = await world.receive();
    for (const [n, receiver] of dead.entries()) {
      await world.watch(`OUT-fails-${n}`, { url: receiver.url() });
      await world.see(`OUT-fails-${n}`, "queued");
      await world.settle();
    }
    for (const [n, receiver] of dead.entries())
      await world.addPending(
        urls(4, () => receiver.url()),
        `OUT-dead-${n}`,
      );
    await world.settle();
    expect(dead.reduce((sum, { unanswered }) => sum + unanswered, 0)).toBe(4);
    expect(world.dispatcher.bufferedCount).toBe(0);
    await world.watch("OUT-live", { url: live.url() });
    await world.see("OUT-live", "queued");
    await world.see("OUT-live", "calling");
    await world.see("OUT-live", "success");
    await world.settle();
    expect(live.received.map(({ body }) => typeOf(body))).toEqual(["call.queued", "call.calling", "call.success"]);
  });

  test("a slow host with many URLs used once does not take what others need", async () => {
    const world = await DeliveryWorld.open({ limits: { maxInFlight: 8, hostMaxInFlight: 4 } });
    const slow = await world.receive(never);
    const live = await world.receive();
    await world.addPending(urls(60, (n) => slow.url(`/${n}`)));
    await world.settle();
    expect(slow.unanswered).toBe(4);
    await world.watch("OUT-live", { url: live.url() });
    for (const status of ["queued", "calling", "success"]) await world.see("OUT-live", status);
    await world.settle();
    expect(live.received).toHaveLength(3);
    expect(slow.unanswered).toBe(4);
  });
});

test("an attempt begins once its keys are read, and is signed with that time", async () => {
  const world = await DeliveryWorld.open();
  const receiver = await world.receive();
  const { view } = await world.watch("OUT-1", { url: receiver.url() });
  await patch(world, view.watch.endpointId, { signatures: ["v1", "v1a"] });
  const reading = latch();
  world.beforeStore = (operation) => (operation === "getAccount" ? reading.opened : undefined);
  await world.see("OUT-1", "queued");
  await world.clock.advanceWithout(3 * second);
  reading.open();
  await world.settle();
  expect(receiver.received.map(({ headers }) => headers["webhook-timestamp"])).toEqual([String(Math.floor(world.clock.nowMs() / 1000))]);
});

describe("no attempt starts", () => {
  test("for a watch that was removed while its webhook was being signed", async () => {
    const world = await DeliveryWorld.open();
    const receiver = await world.receive();
    const { view } = await world.watch("OUT-1", { url: receiver.url() });
    await patch(world, view.watch.endpointId, { signatures: ["v1", "v1a"] });
    const reading = latch();
    world.beforeStore = (operation) => (operation === "getAccount" ? reading.opened : undefined);
    await world.see("OUT-1", "queued");
    await world.store.removeWatch({
      by: null,
      accountId: view.watch.accountId,
      watchId: view.watch.id,
      purge: false,
      nowMs: world.clock.nowMs(),
    });
    world.dispatcher.removed({ watchId: view.watch.id, deliveryIds: [], notices: [] });
    reading.open();
    await world.settle();
    expect(receiver.received).toEqual([]);
    const [canceled] = await world.deliveries();
    expect(canceled).toMatchObject({ leased: false, delivery: { status: "canceled", attemptCount: 0 } });
  });

  test("for a watch whose lease arrives after it was removed", async () => {
    const world = await DeliveryWorld.open();
    const receiver = await world.receive();
    const { view } = await world.watch("OUT-1", { url: receiver.url() });
    world.dispatcher.removed({ watchId: view.watch.id, deliveryIds: [], notices: [] });
    await world.see("OUT-1", "queued");
    await world.settle();
    expect(receiver.received).toEqual([]);
    expect(only(await world.deliveries())).toMatchObject({ leased: false });
  });

  test("for a hook that was removed while the lease was on its way", async () => {
    const world = await DeliveryWorld.open();
    const receiver = await world.receive();
    const { view } = await world.hook(receiver.url());
    await world.watch("OUT-1", { url: null });
    const job = only((await world.registrations.see("OUT-1", "queued")).jobs);
    const removed = await world.store.removeHook({ by: null, accountId: view.accountId, hookId: view.id, nowMs: world.clock.nowMs() });
    expect(removed.canceledLeased).toEqual([job.deliveryId]);
    world.dispatcher.removed({ watchId: null, deliveryIds: removed.canceledLeased, notices: [] });
    world.dispatcher.accept([job]);
    await world.settle();
    expect(receiver.received).toEqual([]);
    expect(only(await world.deliveries())).toMatchObject({ leased: false, delivery: { status: "canceled", attemptCount: 0 } });
  });

  test("of a manual retry for a watch removed meanwhile", async () => {
    const world = await DeliveryWorld.open();
    const receiver = await world.receive(() => 500);
    const { view } = await world.watch("OUT-1", { url: receiver.url() });
    await patch(world, view.watch.endpointId, { signatures: ["v1", "v1a"] });
    await world.see("OUT-1", "queued");
    await world.settle();
    const { delivery } = only(await world.deliveries());
    const claimed = await world.store.claimManualRetry({
      by: null,
      accountId: view.watch.accountId,
      deliveryId: delivery.id,
      nowMs: world.clock.nowMs(),
    });
    world.dispatcher.removed({ watchId: view.watch.id, deliveryIds: [], notices: [] });
    expect(await world.dispatcher.sendNow(expectKind(claimed, "claimed").job)).toBeNull();
    expect(receiver.received).toHaveLength(1);
    expect(only(await world.deliveries())).toMatchObject({ leased: false, delivery: { attemptCount: 1 } });
  });

  test.each(["paused", "disabled"] as const)(
    "to an endpoint that was %s while jobs waited here, and all go in order once it is open",
    async (state) => {
      const world = await DeliveryWorld.open();
      const held = latch();
      const receiver = await world.receive(async () => {
        await held.opened;
        return 200;
      });
      const { view } = await world.watch("OUT-first", { url: receiver.url() });
      await world.addPending(urls(10, () => receiver.url()));
      await world.settle();
      expect([receiver.unanswered, world.dispatcher.bufferedCount]).toEqual([4, 4]);
      await patch(world, view.watch.endpointId, { state });
      world.dispatcher.closeEndpoint(view.watch.endpointId ?? "", state);
      expect(world.dispatcher.bufferedCount).toBe(0);
      held.open();
      await world.tick();
      expect(receiver.received).toHaveLength(4);
      expect((await world.deliveries()).filter(({ leased }) => leased)).toEqual([]);
      await patch(world, view.watch.endpointId, { state: "enabled" });
      world.dispatcher.openEndpoint(view.watch.endpointId ?? "");
      await world.settle();
      expect(receiver.received.map(({ body }) => sidOf(body))).toEqual(Array.from({ length: 10 }, (_, n) => `OUT-pending-${n}`));
    },
  );

  test("to a paused endpoint for a lease that arrives after the pause, until the pause ends", async () => {
    const world = await DeliveryWorld.open();
    const receiver = await world.receive();
    const { view } = await world.watch("OUT-1", { url: receiver.url() });
    const endpointId = view.watch.endpointId ?? "";
    await patch(world, endpointId, { state: "paused" });
    await patch(world, endpointId, { state: "enabled" });
    world.dispatcher.closeEndpoint(endpointId, "paused");
    await world.see("OUT-1", "queued");
    await world.settle();
    expect(receiver.received).toEqual([]);
    // A registration may reopen the endpoint without notifying the dispatcher. The delivery then waits two seconds.
    world.tickEachSecond();
    await world.clock.advance(2 * second);
    expect(receiver.received).toHaveLength(1);
  });

  test("of a test while the endpoint is disabled, but one does while it is paused", async () => {
    const world = await DeliveryWorld.open();
    const receiver = await world.receive();
    const { view } = await world.watch("OUT-1", { url: receiver.url() });
    const { accountId } = view.watch;
    const endpointId = view.watch.endpointId ?? "";
    const test = async () => expectKind(await world.store.createTest({ accountId, endpointId, nowMs: world.clock.nowMs() }), "claimed").job;
    world.dispatcher.closeEndpoint(endpointId, "paused");
    expect(await world.dispatcher.sendNow(await test())).toMatchObject({ decision: "delivered" });
    world.dispatcher.closeEndpoint(endpointId, "disabled");
    expect(await world.dispatcher.sendNow(await test())).toBeNull();
    expect(receiver.received).toHaveLength(1);
  });

  test("to an endpoint that has answered 410, for what waits here", async () => {
    const world = await DeliveryWorld.open();
    const answers: ((status: number) => void)[] = [];
    const receiver = await world.receive(() => new Promise<number>((resolve) => void answers.push(resolve)));
    await world.addPending(urls(8, () => receiver.url()));
    await world.settle();
    expect([receiver.unanswered, world.dispatcher.bufferedCount]).toEqual([4, 4]);
    answers[0]?.(410);
    await world.settle();
    expect([receiver.unanswered, world.dispatcher.bufferedCount]).toEqual([3, 0]);
    for (const answer of answers) answer(200);
    await world.settle();
    expect(receiver.received).toHaveLength(4);
    const states = (await world.deliveries()).map(({ delivery }) => delivery.status);
    expect(states).toEqual(["failed", ...Array<string>(7).fill("canceled")]);
  });

  test.each([
    ["drop", 5, "superseded"],
    ["send", 6, "delivered"],
  ] as const)(
    "for an earlier event that waits here when a later one was delivered and late ones are to %s: %i are sent",
    async (late, sent, status) => {
      const world = await DeliveryWorld.open({ policy: { scheduleMs: [0, 30 * second, hour], orderHoldMs: 10 * second } });
      const answers: (() => void)[] = [];
      const receiver = await world.receive(async ({ number }) => {
        if (number !== 5) return number === 1 || number === 3 ? 500 : 200;
        const { promise, resolve } = Promise.withResolvers<void>();
        answers.push(resolve);
        await promise;
        return 200;
      });
      const { view } = await world.watch("OUT-1", { url: receiver.url(), endpoint: { late } });
      await patch(world, view.watch.endpointId, { maxInFlight: 1 });
      await world.see("OUT-1", "queued");
      await world.settle();
      // Other events were delivered since, so the endpoint does not count as failing. The first of them brought the earlier event
      // forward, which failed again.
      await world.addPending([receiver.url()]);
      await world.settle();
      await world.watch("OUT-2", { url: receiver.url() });
      await world.see("OUT-2", "queued");
      await world.see("OUT-1", "calling");
      // The later one is on the wire when the earlier one's next attempt is due.
      await world.clock.advance(30 * second);
      expect(receiver.received.map(({ body }) => typeOf(body)).slice(4)).toEqual(["call.calling"]);
      expect([receiver.unanswered, world.dispatcher.bufferedCount]).toEqual([1, 1]);
      answers[0]?.();
      await world.settle();
      expect(receiver.received).toHaveLength(sent);
      expect((await world.deliveries("OUT-1")).map(({ delivery, leased }) => [delivery.eventType, delivery.status, leased])).toEqual([
        ["call.queued", status, false],
        ["call.calling", "delivered", false],
      ]);
    },
  );
});

describe("a manual retry", () => {
  test("of a buffered delivery is sent at once, and its failure leaves the schedule unchanged", async () => {
    const world = await DeliveryWorld.open();
    const held = latch();
    const receiver = await world.receive(async ({ number }) => {
      if (number === 5) return 500;
      await held.opened;
      return 200;
    });
    await world.addPending(urls(6, () => receiver.url()));
    await world.settle();
    expect(receiver.received).toHaveLength(4);
    const waiting = (await world.deliveries())[5]?.delivery.id ?? "";
    const { id: accountId } = await world.registrations.account();
    const request = { by: null, accountId, deliveryId: waiting, nowMs: world.clock.nowMs() };
    expect((await world.store.claimManualRetry(request)).kind).toBe("in_flight");
    await world.dispatcher.releaseBuffered(waiting);
    const claimed = await world.store.claimManualRetry(request);
    if (claimed.kind !== "claimed") throw new Error(`not claimed: ${claimed.kind}`);
    void world.dispatcher.sendNow(claimed.job);
    await world.settle();
    expect(receiver.received.map(({ body }) => sidOf(body)).at(-1)).toBe("OUT-pending-5");
    expect((await world.registrations.deliveryOf({ deliveryId: waiting })).view.delivery).toMatchObject({
      status: "pending",
      attemptCount: 1,
      stepsSpent: 0,
      nextAttemptAtMs: world.clock.nowMs(),
    });
    held.open();
    await world.tick();
    expect((await world.deliveries()).map(({ delivery }) => delivery.status)).toEqual(Array(6).fill("delivered"));
  });
});

describe("trouble with the store", () => {
  test("while a webhook is signed spends no attempt", async () => {
    const world = await DeliveryWorld.open();
    const receiver = await world.receive();
    const { view } = await world.watch("OUT-1", { url: receiver.url() });
    await patch(world, view.watch.endpointId, { signatures: ["v1", "v1a"] });
    world.beforeStore = (operation) => {
      if (operation === "getAccount") throw new StoreUnavailableError("for a moment");
    };
    world.tickEachSecond();
    await world.see("OUT-1", "queued");
    await world.clock.advance(5 * second);
    world.beforeStore = () => undefined;
    await world.clock.advance(2 * second);
    expect(receiver.received).toHaveLength(1);
    expect(world.lines.filter(({ level }) => level === "error")).toEqual([]);
    expect(only(await world.deliveries()).delivery).toMatchObject({ status: "delivered", attemptCount: 1 });
  });

  test("at the record delays the record until the store is back, without a second attempt", async () => {
    const world = await DeliveryWorld.open();
    const receiver = await world.receive();
    await world.watch("OUT-1", { url: receiver.url() });
    world.beforeStore = (operation) => {
      if (operation === "recordAttempt") throw new StoreUnavailableError("for a moment");
    };
    await world.see("OUT-1", "queued");
    await receiver.arrived(1);
    await world.clock.advanceWithout(20 * second);
    world.beforeStore = () => undefined;
    await world.clock.advanceWithout(5 * second);
    await world.settle();
    expect(receiver.received).toHaveLength(1);
    expect(only(await world.deliveries()).delivery).toMatchObject({ status: "delivered", attemptCount: 1 });
  });

  test("at a claim is retried by the next tick, and a bug is logged and stops nothing", async () => {
    const world = await DeliveryWorld.open();
    const receiver = await world.receive(({ number }) => (number === 1 ? 500 : 200));
    await world.watch("OUT-1", { url: receiver.url() });
    await world.see("OUT-1", "queued");
    await world.settle();
    const failures = [new StoreUnavailableError("for a moment"), new Error("a bug")];
    world.beforeStore = (operation) => {
      const failure = operation === "claimDue" ? failures.shift() : undefined;
      if (failure !== undefined) throw failure;
    };
    world.dispatcher.wake();
    await world.settle();
    world.dispatcher.wake();
    await world.settle();
    expect(world.lines.filter(({ level }) => level !== "info").map(({ message }) => message)).toEqual([
      "delivery.claim_failed",
      "delivery.wake_failed",
    ]);
    await world.clock.advance(5 * second);
    await world.tick();
    expect(receiver.received).toHaveLength(2);
  });
});

describe("a stop", () => {
  test("releases buffered, signing and aborted deliveries, and spends no attempt", async () => {
    const world = await DeliveryWorld.open();
    const receiver = await world.receive(never);
    await world.addPending(urls(10, () => receiver.url()));
    await world.settle();
    expect([receiver.unanswered, world.dispatcher.bufferedCount]).toEqual([4, 4]);
    await world.dispatcher.stop(0);
    expect(world.dispatcher.bufferedCount).toBe(0);
    const deliveries = await world.deliveries();
    expect(deliveries.every(({ leased, delivery }) => !leased && delivery.attemptCount === 0 && delivery.status === "pending")).toBe(true);
    expect(world.clock.timerCount).toBe(0);
  });

  test("lets attempts finish within the grace, and a second call of stop waits as well", async () => {
    const world = await DeliveryWorld.open();
    const held = latch();
    const receiver = await world.receive(async () => {
      await held.opened;
      return 200;
    });
    await world.addPending(urls(3, () => receiver.url()));
    await world.settle();
    const stops = [world.dispatcher.stop(second), world.dispatcher.stop(second)];
    held.open();
    await Promise.all(stops);
    expect((await world.deliveries()).map(({ delivery }) => delivery.status)).toEqual(Array(3).fill("delivered"));
    expect(world.clock.timerCount).toBe(0);
  });

  test("releases the result of a running claim and of later commits", async () => {
    const world = await DeliveryWorld.open();
    const receiver = await world.receive(() => 500);
    await world.addPending(urls(3, () => receiver.url()));
    await world.settle();
    world.clock.setWall(world.clock.nowMs() + minute);
    const claiming = latch();
    world.beforeStore = (operation) => (operation === "claimDue" ? claiming.opened : undefined);
    world.dispatcher.wake();
    const stopped = world.dispatcher.stop(0);
    await world.see("OUT-pending-0", "calling");
    claiming.open();
    await stopped;
    expect(receiver.received).toHaveLength(3);
    expect((await world.deliveries()).filter(({ leased }) => leased)).toEqual([]);
  });
});

describe("leases", () => {
  test("of a burst that exceeds the buffer are released together, not one by one", async () => {
    const world = await DeliveryWorld.open();
    const held = latch();
    const receiver = await world.receive(async () => {
      await held.opened;
      return 200;
    });
    const burst: SendJob[] = [];
    for (let n = 0; n < 100; n++) {
      await world.watch(`OUT-${n}`, { url: receiver.url(`/${n}`) });
      burst.push(only((await world.registrations.see(`OUT-${n}`, "queued")).jobs));
    }
    let returns = 0;
    world.beforeStore = (operation) => void (returns += Number(operation === "releaseDeliveries"));
    for (const job of burst) world.dispatcher.accept([job]);
    await world.settle();
    expect(returns).toBeGreaterThan(0);
    expect(returns).toBeLessThan(5);
    held.open();
    await world.tick();
    await world.settle();
    expect((await world.deliveries()).map(({ delivery }) => delivery.status)).toEqual(Array(100).fill("delivered"));
  });

  test("that the store refused to release are released as soon as it accepts", async () => {
    const world = await DeliveryWorld.open({ limits: { endpointMaxInFlight: 1 } });
    const held = latch();
    const receiver = await world.receive(async () => {
      await held.opened;
      return 200;
    });
    world.beforeStore = (operation) => {
      if (operation === "releaseDeliveries") throw new StoreUnavailableError("for a moment");
    };
    await world.addPending(urls(4, () => receiver.url()));
    await world.settle();
    world.beforeStore = () => undefined;
    held.open();
    await world.tick();
    await world.tick();
    expect(receiver.received).toHaveLength(4);
    expect((await world.deliveries()).map(({ delivery }) => delivery.status)).toEqual(Array(4).fill("delivered"));
  });

  test("of an attempt whose record hit a bug are released after a pause", async () => {
    const world = await DeliveryWorld.open();
    const receiver = await world.receive();
    world.beforeStore = (operation) => {
      if (operation === "recordAttempt") throw new Error("a bug");
    };
    await world.watch("OUT-1", { url: receiver.url() });
    await world.see("OUT-1", "queued");
    await world.settle();
    world.tickEachSecond();
    await world.clock.advance(10 * second);
    expect(receiver.received).toHaveLength(1);
    world.beforeStore = () => undefined;
    await world.clock.advance(2 * minute);
    expect(receiver.received).toHaveLength(2);
    expect((await world.deliveries()).map(({ delivery }) => delivery.status)).toEqual(["delivered"]);
  });
});

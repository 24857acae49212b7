import { describe, expect, test } from "vitest";
import type { CallbackAnswer } from "../../harness/receivers/callbacks.ts";
import { DeliveryWorld } from "../../harness/delivery-world.ts";
import type { DeliverySetup } from "../../harness/delivery-world.ts";
import { day, hour, minute, second } from "../../harness/store-drafts.ts";

const times = (count: number, urlOf: (n: number) => string) => Array.from({ length: count }, (_, n) => urlOf(n));

/** Opens a receiver whose answers the test gives, to the oldest open request first. */
async function openStepper(world: DeliveryWorld) {
  const waiting: ((answer: CallbackAnswer) => void)[] = [];
  const receiver = await world.receive(() => new Promise((resolve) => void waiting.push(resolve)));
  return {
    receiver,
    async answer(answer: CallbackAnswer, count = 1): Promise<void> {
      for (let n = 0; n < count; n++) {
        waiting.shift()?.(answer);
        await world.settle();
      }
    },
  };
}

async function openWorld(limits: DeliverySetup["limits"] = {}): Promise<DeliveryWorld> {
  // Retries are due after the test, so that every request is a first attempt.
  return DeliveryWorld.open({ limits, policy: { scheduleMs: [0, day, day] } });
}

describe("one endpoint", () => {
  test("starts at four, grows by one a success up to the maximum, halves at every failure down to one, and grows again", async () => {
    const world = await openWorld({ endpointMaxInFlight: 9 });
    const { receiver, answer } = await openStepper(world);
    await world.addPending(times(80, () => receiver.url()));
    await world.settle();
    expect(receiver.unanswered).toBe(4);
    for (const expected of [5, 6, 7, 8, 9, 9, 9]) {
      await answer(200);
      expect(receiver.unanswered).toBe(expected);
    }
    // 9 -> 4 -> 2 -> 1: no attempt starts until fewer than the limit are left.
    await answer(500, 3);
    expect(receiver.unanswered).toBe(6);
    await answer(500, 5);
    expect(receiver.unanswered).toBe(1);
    await answer(500);
    expect(receiver.unanswered).toBe(1);
    for (const expected of [2, 3, 4]) {
      await answer(200);
      expect(receiver.unanswered).toBe(expected);
    }
  });

  test("with a free permit sends its buffered job, even if no other delivery is due", async () => {
    const world = await openWorld();
    const { receiver, answer } = await openStepper(world);
    await world.addPending(times(6, () => receiver.url()));
    await world.settle();
    expect([receiver.unanswered, world.dispatcher.bufferedCount]).toEqual([4, 2]);
    await answer(200);
    expect([receiver.unanswered, world.dispatcher.bufferedCount]).toEqual([5, 0]);
  });

  test("with a new token sends its oldest event, even if a newer one arrives at that instant", async () => {
    const world = await openWorld();
    const receiver = await world.receive();
    const { view } = await world.watch("OUT-late", { url: receiver.url() });
    await world.store.patchEndpoint({
      by: null,
      accountId: view.watch.accountId,
      endpointId: view.watch.endpointId ?? "",
      patch: { maxPerSecond: 1 },
      nowMs: world.clock.nowMs(),
    });
    // Set before the dispatcher's own timer, so that it fires before it.
    world.clock.setTimer(second, () => void world.see("OUT-late", "queued"));
    await world.addPending(times(3, () => receiver.url()));
    await world.settle();
    await world.clock.advance(3 * second);
    const sids = receiver.received.map(({ body }) => (JSON.parse(body) as { data: { call_sid: string } }).data.call_sid);
    expect(sids).toEqual(["OUT-pending-0", "OUT-pending-1", "OUT-pending-2", "OUT-late"]);
  });

  test("obeys a new maximum at once", async () => {
    const world = await openWorld();
    const { receiver, answer } = await openStepper(world);
    const { view } = await world.watch("OUT-first", { url: receiver.url() });
    const patch = async (maxInFlight: number) =>
      world.store.patchEndpoint({
        by: null,
        accountId: view.watch.accountId,
        endpointId: view.watch.endpointId ?? "",
        patch: { maxInFlight },
        nowMs: world.clock.nowMs(),
      });
    await patch(2);
    await world.addPending(times(60, () => receiver.url()));
    await world.settle();
    expect(receiver.unanswered).toBe(2);
    await answer(200, 10);
    expect(receiver.unanswered).toBe(2);
    await patch(6);
    // What waits here was leased with the limit that held then.
    await answer(200, 20);
    expect(receiver.unanswered).toBe(6);
  });

  test("that failed and was evicted starts with the limit of its failures", async () => {
    const world = await DeliveryWorld.open({ policy: { scheduleMs: [0, hour, hour] } });
    const receiver = await world.receive(({ number }) => (number <= 2 ? 500 : new Promise(() => undefined)));
    await world.addPending(times(2, () => receiver.url()));
    await world.settle();
    await world.clock.advance(hour / 2);
    await world.tick();
    expect(world.gates.capacity().byEndpoint).toEqual([]);
    await world.addPending(
      times(5, () => receiver.url()),
      "OUT-later",
    );
    await world.settle();
    // Two failures in a row: 4 -> 2 -> 1.
    expect(receiver.unanswered).toBe(1);
  });
});

describe("one host of an account", () => {
  test("starts at four over all its endpoints and grows to its own maximum", async () => {
    const world = await openWorld({ hostMaxInFlight: 6 });
    const { receiver, answer } = await openStepper(world);
    await world.addPending(times(60, (n) => receiver.url(`/once/${n}`)));
    await world.settle();
    expect(receiver.unanswered).toBe(4);
    for (const expected of [5, 6, 6, 6]) {
      await answer(200);
      expect(receiver.unanswered).toBe(expected);
    }
  });

  test.each<[CallbackAnswer, string]>([
    [500, "stays"],
    [404, "stays"],
    [{ status: 302, headers: { location: "/" } }, "stays"],
    ["broken head", "halves"],
  ])("%j: its limit %s", async (failure, what) => {
    const world = await openWorld();
    const { receiver, answer } = await openStepper(world);
    await world.addPending(times(40, (n) => receiver.url(`/once/${n}`)));
    await world.settle();
    await answer(200, 4);
    expect(receiver.unanswered).toBe(8);
    await answer(failure);
    expect(receiver.unanswered).toBe(what === "stays" ? 8 : 7);
    await answer(failure, 5);
    expect(receiver.unanswered).toBe(what === "stays" ? 8 : 2);
    await answer(failure, 4);
    expect(receiver.unanswered).toBe(what === "stays" ? 8 : 1);
  });

  test.each([429, 502, 503, 504])("%i: its limit halves, and after the pause one goes first", async (status) => {
    const world = await openWorld();
    const { receiver, answer } = await openStepper(world);
    await world.addPending(times(40, (n) => receiver.url(`/once/${n}`)));
    await world.settle();
    await answer(200, 4);
    expect(receiver.unanswered).toBe(8);
    await answer(status, 8);
    expect(receiver.unanswered).toBe(0);
    await world.clock.advance(5 * second);
    expect(receiver.unanswered).toBe(1);
    await answer(200);
    // 8, halved eight times is 1; the success made it 2.
    expect(receiver.unanswered).toBe(2);
  });

  test("a timeout: its limit halves", async () => {
    const world = await DeliveryWorld.open({ policy: { scheduleMs: [0, day] }, timeoutMs: 300 });
    const receiver = await world.receive(({ number }) => (number <= 4 ? new Promise(() => undefined) : 200));
    await world.addPending(times(4, (n) => receiver.url(`/once/${n}`)));
    await world.idle();
    const { id: accountId } = await world.registrations.account();
    const capacity = new Map(world.gates.capacity().byHost);
    // One in flight and one that may wait: the limit is 1.
    expect(capacity.get(`${accountId} http://127.0.0.1:${receiver.port}`)).toBe(2);
  });

  test("neither limits nor pauses another account's traffic to it", async () => {
    const world = await openWorld();
    const receiver = await world.receive(({ path }) => (path === "/theirs" ? 200 : path === "/busy" ? 429 : new Promise(() => undefined)));
    const other = await world.registrations.account("other");
    await world.addPending(times(6, (n) => receiver.url(`/slow/${n}`)));
    await world.settle();
    expect(receiver.unanswered).toBe(4);
    const theirs = async (callSid: string) => {
      await world.watch(callSid, { url: receiver.url("/theirs"), accountId: other.id });
      await world.see(callSid, "queued");
      await world.settle();
    };
    await theirs("OUT-theirs-1");
    expect(receiver.received.at(-1)?.path).toBe("/theirs");
    await world.addPending([receiver.url("/busy")], "OUT-busy");
    const busy = (await world.deliveries("OUT-busy-0"))[0]?.delivery.id ?? "";
    const { id: accountId } = await world.registrations.account();
    await world.dispatcher.releaseBuffered(busy);
    const claimed = await world.store.claimManualRetry({ by: null, accountId, deliveryId: busy, nowMs: world.clock.nowMs() });
    if (claimed.kind !== "claimed") throw new Error(`not claimed: ${claimed.kind}`);
    void world.dispatcher.sendNow(claimed.job);
    await world.settle();
    expect((await world.attemptsOf(busy)).map(({ decision }) => decision)).toEqual(["deferred"]);
    await theirs("OUT-theirs-2");
    expect(receiver.received.filter(({ path }) => path === "/theirs")).toHaveLength(2);
  });
});

describe("all endpoints together", () => {
  test("failing endpoints get at most half of the permits, the others get the rest", async () => {
    const world = await openWorld({ maxInFlight: 10 });
    const dead = await Promise.all(
      Array.from({ length: 20 }, () => world.receive(({ number }) => (number === 1 ? 500 : new Promise(() => undefined)))),
    );
    await world.addPending(
      dead.map(({ url }) => url()),
      "OUT-first",
    );
    await world.settle();
    await world.addPending(
      dead.map(({ url }) => url()),
      "OUT-again",
    );
    await world.settle();
    const onDead = () => dead.reduce((sum, { unanswered }) => sum + unanswered, 0);
    expect(onDead()).toBe(5);
    const live = await Promise.all(Array.from({ length: 3 }, () => world.receive(() => new Promise(() => undefined))));
    await world.addPending(
      live.flatMap(({ url }) => times(4, () => url())),
      "OUT-live",
    );
    await world.settle();
    expect(live.reduce((sum, { unanswered }) => sum + unanswered, 0)).toBe(5);
    expect([onDead(), world.dispatcher.inFlight]).toEqual([5, 10]);
  });

  test("the first free permit goes to the delivery that waits longest, at any host", async () => {
    const world = await openWorld({ maxInFlight: 2 });
    const first = await openStepper(world);
    const second = await openStepper(world);
    await world.addPending([first.receiver.url(), first.receiver.url("/too")], "OUT-first");
    await world.settle();
    await world.addPending([second.receiver.url()], "OUT-second");
    await world.settle();
    expect([first.receiver.unanswered, second.receiver.unanswered]).toEqual([2, 0]);
    await first.answer(200);
    expect([first.receiver.unanswered, second.receiver.unanswered]).toEqual([1, 1]);
  });

  test("a host's rate holds over all accounts and endpoints", async () => {
    const world = await openWorld({ hostRateLimits: new Map([["127.0.0.1", 5]]) });
    const receiver = await world.receive();
    const other = await world.registrations.account("other");
    for (let n = 0; n < 30; n++) {
      const wish = n % 2 === 0 ? {} : { accountId: other.id };
      await world.watch(`OUT-${n}`, { url: receiver.url(`/${n % 7}`), ...wish });
      await world.see(`OUT-${n}`, "queued");
    }
    await world.settle();
    // No second has more, the first one included.
    expect(receiver.received).toHaveLength(1);
    for (let sent = 2; sent <= 30; sent++) {
      await world.clock.advance(second / 5);
      expect(receiver.received).toHaveLength(sent);
    }
    expect(new Set(receiver.received.map(({ body }) => body)).size).toBe(30);
  });

  test("an endpoint's own rate, below one a second too", async () => {
    const world = await openWorld();
    const receiver = await world.receive();
    const { view } = await world.watch("OUT-first", { url: receiver.url() });
    await world.store.patchEndpoint({
      by: null,
      accountId: view.watch.accountId,
      endpointId: view.watch.endpointId ?? "",
      patch: { maxPerSecond: 0.1 },
      nowMs: world.clock.nowMs(),
    });
    await world.addPending(times(12, () => receiver.url()));
    await world.settle();
    expect(receiver.received).toHaveLength(1);
    await world.clock.advance(minute);
    expect(receiver.received).toHaveLength(7);
    await world.clock.advance(minute);
    expect(receiver.received).toHaveLength(12);
  });

  test("a high rate is reached although timers are late, and is not exceeded by more than a fiftieth", async () => {
    const world = await openWorld();
    const receiver = await world.receive();
    const { view } = await world.watch("OUT-first", { url: receiver.url() });
    await world.store.patchEndpoint({
      by: null,
      accountId: view.watch.accountId,
      endpointId: view.watch.endpointId ?? "",
      patch: { maxPerSecond: 200 },
      nowMs: world.clock.nowMs(),
    });
    await world.addPending(times(500, () => receiver.url()));
    await world.settle();
    for (let n = 0; n < 50; n++) await world.clock.advance(second / 50);
    expect(receiver.received.length).toBeGreaterThanOrEqual(200);
    expect(receiver.received.length).toBeLessThanOrEqual(204);
  });

  test("an endpoint used once is evicted, one that waits for a token is kept", async () => {
    const world = await openWorld({ maxInFlight: 32 });
    const receiver = await world.receive();
    const { view } = await world.watch("OUT-first", { url: receiver.url("/slowly") });
    await world.store.patchEndpoint({
      by: null,
      accountId: view.watch.accountId,
      endpointId: view.watch.endpointId ?? "",
      patch: { maxPerSecond: 0.1 },
      nowMs: world.clock.nowMs(),
    });
    await world.see("OUT-first", "queued");
    await world.addPending(times(500, (n) => receiver.url(`/once/${n}`)));
    await world.settle();
    expect(receiver.received).toHaveLength(501);
    const known = () => new Map(world.gates.capacity().byEndpoint);
    expect(known().size).toBeLessThanOrEqual(2 * 32 + 1);
    expect(known().get(view.watch.endpointId ?? "")).toBe(0);
    await world.clock.advance(61 * second);
    expect([known().size, world.gates.capacity().byHost.length, world.clock.timerCount]).toEqual([0, 0, 0]);
  });
});

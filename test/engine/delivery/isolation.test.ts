import { describe, expect, test } from "vitest";
import type { CallbackAnswer, Callbacks } from "../../harness/receivers/callbacks.ts";
import { DeliveryWorld } from "../../harness/delivery-world.ts";
import { minute, second } from "../../harness/store-drafts.ts";

/*
 * Cost of dead endpoints for live ones, in counts and in time on a fake clock. An event that is sent at the instant of
 * its commit was not delayed, regardless of the speed of the machine.
 */

const never = () => new Promise<CallbackAnswer>(() => undefined);

/** Every call of the live endpoint goes through its three events, one a second; each must leave at once and in order. */
async function liveThrough(world: DeliveryWorld, live: Callbacks, calls: number): Promise<void> {
  for (let n = 0; n < calls; n++) await world.watch(`OUT-live-${n}`, { url: live.url() });
  for (const [index, status] of ["queued", "calling", "success"].entries()) {
    for (let n = 0; n < calls; n++) await world.see(`OUT-live-${n}`, status);
    await world.settle();
    expect(live.received).toHaveLength((index + 1) * calls);
    await world.clock.advance(second);
  }
  for (let n = 0; n < calls; n++) {
    const deliveries = await world.deliveries(`OUT-live-${n}`);
    expect(deliveries.map(({ delivery }) => [delivery.eventType, delivery.status, delivery.attemptCount])).toEqual([
      ["call.queued", "delivered", 1],
      ["call.calling", "delivered", 1],
      ["call.success", "delivered", 1],
    ]);
    for (const { delivery } of deliveries) expect(delivery.settledAtMs).toBe(delivery.createdAtMs);
  }
}

describe("events are sent at the instant of their commit beside a dead endpoint with hundreds pending", { timeout: 60_000 }, () => {
  test("it never answers", async () => {
    const world = await DeliveryWorld.open({ timeoutMs: 120_000 });
    const dead = await world.receive(never);
    const live = await world.receive();
    await world.addPending(
      Array.from({ length: 500 }, () => dead.url()),
      "OUT-dead",
    );
    world.tickEachSecond();
    await liveThrough(world, live, 15);
    expect(dead.received).toHaveLength(4);
    expect(world.dispatcher.bufferedCount).toBeLessThanOrEqual(4);
  });

  test("it fails everything at once, again and again", async () => {
    const world = await DeliveryWorld.open({ policy: { scheduleMs: [0, second, second, minute] } });
    const dead = await world.receive(() => 500);
    const live = await world.receive();
    await world.addPending(
      Array.from({ length: 400 }, () => dead.url()),
      "OUT-dead",
    );
    world.tickEachSecond();
    await liveThrough(world, live, 15);
    expect(dead.received.length).toBeGreaterThan(400);
    expect(dead.mostUnanswered).toBeLessThanOrEqual(4);
  });
});

test("on a host they share a dead endpoint takes the host's places at first, and one of them once it has failed", async () => {
  const world = await DeliveryWorld.open();
  const failures: (() => void)[] = [];
  const host = await world.receive(({ path }) =>
    path === "/live" ? 200 : new Promise((resolve) => void failures.push(() => resolve(500))),
  );
  await world.addPending(
    Array.from({ length: 500 }, () => host.url("/dead")),
    "OUT-dead",
  );
  await world.addPending([host.url("/live")], "OUT-live");
  await world.settle();
  expect(host.received.map(({ path }) => path)).toEqual(Array(4).fill("/dead"));
  // The first place that is free is not the dead one's again.
  failures.shift()?.();
  await world.settle();
  expect(host.received.at(-1)?.path).toBe("/live");
  for (let n = 0; n < 3; n++) {
    failures.shift()?.();
    await world.settle();
  }
  expect(host.unanswered).toBe(1);
  for (let n = 0; n < 20; n++) {
    await world.addPending([host.url("/live")], `OUT-live-again-${n}`);
    await world.settle();
  }
  expect(host.received.filter(({ path }) => path === "/live")).toHaveLength(21);
  expect(host.unanswered).toBe(1);
});

describe("beside dead ones that have more pending than there are places", { timeout: 60_000 }, () => {
  test.each<[string, (number: number) => CallbackAnswer | Promise<CallbackAnswer>]>([
    ["and never answer", never],
    ["and answer 500", () => 500],
    ["and reset", () => "broken head"],
    ["and are overloaded", () => 429],
  ])("%s", async (_, answer) => {
    const world = await DeliveryWorld.open({ policy: { scheduleMs: [0, second, second, minute] }, limits: { maxInFlight: 128 } });
    const dead = await Promise.all(Array.from({ length: 25 }, () => world.receive(({ number }) => answer(number))));
    const live = await world.receive();
    for (let round = 0; round < 8; round++)
      await world.addPending(
        dead.map(({ url }) => url()),
        `OUT-dead-${round}`,
      );
    world.tickEachSecond();
    await liveThrough(world, live, 20);
    for (const { mostUnanswered } of dead) expect(mostUnanswered).toBeLessThanOrEqual(4);
  });
});

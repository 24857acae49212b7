import { describe, expect, test } from "vitest";
import { StoreUnavailableError } from "../../../src/domain/errors.ts";
import { DeliveryWorld } from "../../harness/delivery-world.ts";

/** One endpoint with a place for one, on the wire to a receiver that has not answered; the rest waits in memory. */
async function heldBehindOne(mayStart = () => true) {
  const { promise: answer, resolve: release } = Promise.withResolvers<number>();
  const world = await DeliveryWorld.open({ limits: { endpointMaxInFlight: 1 }, mayStart });
  const receiver = await world.receive(() => answer);
  for (const callSid of ["OUT-1", "OUT-2"]) {
    await world.watch(callSid, { url: receiver.url("/") });
    await world.see(callSid, "queued");
  }
  await world.settle();
  expect([world.dispatcher.inFlight, world.dispatcher.bufferedCount]).toEqual([1, 1]);
  return { world, receiver, release: () => release(200) };
}

describe("a dispatcher among several", () => {
  test("sends no webhook whose signing ends after attempts were forbidden", async () => {
    let looks = 0;
    let isFrozen = true;
    // It may when the job is let in, and not when the webhook is ready.
    const world = await DeliveryWorld.open({ mayStart: () => !isFrozen || ++looks === 1 });
    const receiver = await world.receive();
    await world.watch("OUT-1", { url: receiver.url("/") });
    await world.see("OUT-1", "queued");
    await world.settle();
    expect(world.sent).toEqual([]);
    expect(await world.deliveries()).toMatchObject([{ leased: false, delivery: { status: "pending", attemptCount: 0 } }]);
    isFrozen = false;
    await world.tick();
    await world.idle();
    expect(await world.deliveries()).toMatchObject([{ delivery: { status: "delivered", attemptCount: 1 } }]);
  });

  test("starts its buffered jobs when attempts are allowed again, without a claim", async () => {
    let may = true;
    const { world, release } = await heldBehindOne(() => may);
    may = false;
    release();
    await world.idle();
    expect([world.dispatcher.inFlight, world.dispatcher.bufferedCount]).toEqual([0, 1]);
    may = true;
    const asked: string[] = [];
    world.beforeStore = (operation) => void asked.push(operation);
    await world.dispatcher.maintain();
    await world.idle();
    expect(asked.filter((operation) => operation === "claimDue" || operation === "releaseDeliveries")).toEqual([]);
    expect((await world.deliveries()).map(({ delivery }) => delivery.status)).toEqual(["delivered", "delivered"]);
  });

  test("retries refused releases, and makes no request if there are none", async () => {
    const { world, release } = await heldBehindOne();
    let isAway = true;
    const asked: string[] = [];
    world.beforeStore = (operation) => {
      asked.push(operation);
      if (isAway && operation === "releaseDeliveries") throw new StoreUnavailableError("away");
    };
    const [, held] = await world.deliveries();
    world.dispatcher.dropFinished(new Set([held?.delivery.id ?? ""]));
    await world.settle();
    expect((await world.deliveries()).map(({ leased }) => leased)).toEqual([true, true]);
    isAway = false;
    await world.dispatcher.maintain();
    await world.settle();
    asked.length = 0;
    await world.dispatcher.maintain();
    expect(asked).toEqual([]);
    release();
    await world.idle();
    await world.tick();
    await world.idle();
    expect((await world.deliveries()).map(({ delivery }) => delivery.status)).toEqual(["delivered", "delivered"]);
  });

  test("discards its buffered jobs, including one that is being signed", async () => {
    const { world, release } = await heldBehindOne();
    world.dispatcher.discardBuffered();
    expect(world.dispatcher.bufferedCount).toBe(0);
    release();
    await world.idle();
    // The instance that holds the lease now sends it.
    expect(world.sent).toHaveLength(1);
    const other = await DeliveryWorld.open();
    const receiver = await other.receive();
    await other.watch("OUT-1", { url: receiver.url("/") });
    const { jobs } = await other.registrations.see("OUT-1", "queued");
    other.beforeStore = (operation) => {
      if (operation === "claimDue") throw new StoreUnavailableError("leased by another instance");
    };
    other.dispatcher.accept(jobs);
    other.dispatcher.discardBuffered();
    await other.settle();
    expect(other.sent).toEqual([]);
  });
});

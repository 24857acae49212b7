import { describe, expect, test } from "vitest";
import { StoreUnavailableError } from "../../../src/domain/errors.ts";
import type { EndpointPatch } from "../../../src/ports/stores/endpoint-store.ts";
import { DeliveryWorld } from "../../harness/delivery-world.ts";
import { expectKind, minute, second } from "../../harness/store-drafts.ts";

/** Commits a change as a request of this process does, which then notifies the dispatcher. */
async function patch(world: DeliveryWorld, endpointId: string | null, change: EndpointPatch): Promise<void> {
  await patchElsewhere(world, endpointId, change);
  world.dispatcher.refreshEndpoint(endpointId ?? "");
}

/** Commits a change as another instance does: the dispatcher is not notified. */
async function patchElsewhere(world: DeliveryWorld, endpointId: string | null, change: EndpointPatch): Promise<void> {
  const { id: accountId } = await world.registrations.account();
  await world.store.patchEndpoint({ by: null, accountId, endpointId: endpointId ?? "", patch: change, nowMs: world.clock.nowMs() });
}

/** Webhooks of a receiver, `flat` or `standard`. */
const formatsOf = ({ received }: { readonly received: readonly { readonly body: string }[] }) =>
  received.map(({ body }) => ("data" in (JSON.parse(body) as object) ? "standard" : "flat"));

/** A receiver that answers with 200 once its webhooks are released. */
async function holdingReceiver(world: DeliveryWorld) {
  const { promise, resolve } = Promise.withResolvers<number>();
  return { receiver: await world.receive(() => promise), release: () => resolve(200) };
}

describe("a change by this process", () => {
  test("holds for the jobs of a commit that read the endpoint before the change and are received after it", async () => {
    const world = await DeliveryWorld.open();
    const receiver = await world.receive();
    const { view } = await world.watch("OUT-1", { url: receiver.url() });
    const { jobs } = await world.registrations.see("OUT-1", "queued");
    await patch(world, view.watch.endpointId, { format: "flat" });
    world.dispatcher.accept(jobs);
    await world.settle();
    expect(formatsOf(receiver)).toEqual(["flat"]);
  });

  test("holds for a test whose webhook is being signed, and for a scheduled attempt", async () => {
    const world = await DeliveryWorld.open();
    const receiver = await world.receive();
    const { view } = await world.watch("OUT-1", { url: receiver.url() });
    const { endpointId, accountId } = view.watch;
    await patch(world, endpointId, { signatures: ["v1", "v1a"] });
    const key = Promise.withResolvers<void>();
    world.beforeStore = (operation) => (operation === "getAccount" ? key.promise : undefined);
    const { job } = expectKind(
      await world.store.createTest({ accountId, endpointId: endpointId ?? "", nowMs: world.clock.nowMs() }),
      "claimed",
    );
    const sent = world.dispatcher.sendNow(job);
    const { jobs } = await world.registrations.see("OUT-1", "queued");
    world.dispatcher.accept(jobs);
    await patch(world, endpointId, { format: "flat", signatures: ["v1"] });
    key.resolve();
    expect(await sent).toMatchObject({ decision: "delivered" });
    await world.settle();
    expect(formatsOf(receiver)).toEqual(["flat", "flat"]);
    expect(receiver.received.map(({ headers }) => headers["webhook-signature"]?.includes("v1a"))).toEqual([false, false]);
  });

  test("holds for what waits behind max_in_flight, in the order of the events", async () => {
    const world = await DeliveryWorld.open({ limits: { endpointMaxInFlight: 1 } });
    const { receiver, release } = await holdingReceiver(world);
    const urls = Array.from({ length: 20 }, () => receiver.url());
    const { view } = await world.watch("OUT-first", { url: receiver.url() });
    await world.addPending(urls);
    await world.settle();
    expect(receiver.received).toHaveLength(1);
    await patch(world, view.watch.endpointId, { format: "flat" });
    release();
    await world.settle();
    expect(formatsOf(receiver)).toEqual(["standard", ...Array.from({ length: 19 }, () => "flat")]);
    const sids = receiver.received.slice(1).map(({ body }) => (JSON.parse(body) as { readonly call_sid: string }).call_sid);
    expect(sids).toEqual(Array.from({ length: 19 }, (_, n) => `OUT-pending-${n + 1}`));
  });

  test("of max_per_second sends what waits for a token at once", async () => {
    const world = await DeliveryWorld.open();
    const receiver = await world.receive();
    const { view } = await world.watch("OUT-first", { url: receiver.url() });
    await patch(world, view.watch.endpointId, { maxPerSecond: 0.1 });
    await world.addPending([receiver.url(), receiver.url(), receiver.url()]);
    await world.settle();
    expect(receiver.received).toHaveLength(1);
    await patch(world, view.watch.endpointId, { format: "flat", maxPerSecond: null });
    await world.settle();
    expect(formatsOf(receiver)).toEqual(["standard", "flat", "flat"]);
  });

  test("of max_in_flight sends what waits for an exchange at once", async () => {
    const world = await DeliveryWorld.open();
    const { receiver } = await holdingReceiver(world);
    const { view } = await world.watch("OUT-first", { url: receiver.url() });
    await patch(world, view.watch.endpointId, { maxInFlight: 1 });
    const { jobs } = await world.registrations.see("OUT-first", "queued");
    world.dispatcher.accept(jobs);
    await world.addPending([receiver.url(), receiver.url()]);
    await world.settle();
    expect([receiver.unanswered, world.dispatcher.bufferedCount]).toEqual([1, 1]);
    await patch(world, view.watch.endpointId, { maxInFlight: 3 });
    await world.settle();
    expect(receiver.unanswered).toBe(3);
  });

  test("is read once for all that waits, and jobs that were leased later need no read", async () => {
    const world = await DeliveryWorld.open({ limits: { endpointMaxInFlight: 4 } });
    const { receiver, release } = await holdingReceiver(world);
    const { view } = await world.watch("OUT-first", { url: receiver.url() });
    await world.addPending(Array.from({ length: 8 }, () => receiver.url()));
    await world.settle();
    const reads: string[] = [];
    world.beforeStore = (operation) => void reads.push(operation);
    await patch(world, view.watch.endpointId, { format: "flat" });
    await world.clock.advance(1);
    await world.addPending([receiver.url()], "OUT-later");
    release();
    await world.settle();
    expect(receiver.received).toHaveLength(9);
    expect(reads.filter((operation) => operation === "readTargets")).toHaveLength(1);
  });
});

test("a job whose endpoint cannot be read while the store is away is postponed, which is no fault of the service", async () => {
  const world = await DeliveryWorld.open();
  const receiver = await world.receive();
  const { view } = await world.watch("OUT-1", { url: receiver.url() });
  const { jobs } = await world.registrations.see("OUT-1", "queued");
  await patch(world, view.watch.endpointId, { format: "flat" });
  world.beforeStore = (operation) => {
    if (operation === "readTargets") throw new StoreUnavailableError("away");
  };
  world.dispatcher.accept(jobs);
  await world.settle();
  expect(receiver.received).toEqual([]);
  expect(world.lines).toEqual([]);
  world.beforeStore = () => undefined;
  await world.clock.advance(second);
  await world.tick();
  expect(formatsOf(receiver)).toEqual(["flat"]);
});

describe("a change by another process", () => {
  test("holds for a job that was leased more than half a second ago, also one whose commit took as long", async () => {
    const world = await DeliveryWorld.open({ targetMaxAgeMs: 500 });
    const receiver = await world.receive();
    const { view } = await world.watch("OUT-1", { url: receiver.url() });
    const { jobs } = await world.registrations.see("OUT-1", "queued");
    await patchElsewhere(world, view.watch.endpointId, { format: "flat" });
    await world.clock.advance(second);
    world.dispatcher.accept(jobs);
    await world.settle();
    expect(formatsOf(receiver)).toEqual(["flat"]);
  });

  test("of a rate is applied with the next tick", async () => {
    const world = await DeliveryWorld.open({ targetMaxAgeMs: 500 });
    const receiver = await world.receive();
    const { view } = await world.watch("OUT-first", { url: receiver.url() });
    await patchElsewhere(world, view.watch.endpointId, { maxPerSecond: 0.01 });
    await world.addPending([receiver.url(), receiver.url()]);
    await world.settle();
    expect(receiver.received).toHaveLength(1);
    world.tickEachSecond();
    await patchElsewhere(world, view.watch.endpointId, { maxPerSecond: null });
    await world.clock.advance(second);
    await world.settle();
    expect(receiver.received).toHaveLength(2);
  });

  test("that disabled the endpoint sends nothing, and the lease is released", async () => {
    const world = await DeliveryWorld.open({ targetMaxAgeMs: 500 });
    const receiver = await world.receive();
    const { view } = await world.watch("OUT-1", { url: receiver.url() });
    const { jobs } = await world.registrations.see("OUT-1", "queued");
    await patchElsewhere(world, view.watch.endpointId, { state: "disabled" });
    await world.clock.advance(second);
    world.dispatcher.accept(jobs);
    await world.settle();
    expect(receiver.received).toEqual([]);
    expect((await world.deliveries()).map(({ leased, delivery }) => [leased, delivery.status])).toEqual([[false, "pending"]]);
  });

  test("is found late by a process that has the store alone, so a job that waited for long is read again", async () => {
    const world = await DeliveryWorld.open();
    const receiver = await world.receive();
    const { view } = await world.watch("OUT-1", { url: receiver.url() });
    const { jobs } = await world.registrations.see("OUT-1", "queued");
    await patch(world, view.watch.endpointId, { format: "flat" });
    await world.clock.advance(2 * minute);
    world.dispatcher.accept(jobs);
    await world.settle();
    expect(formatsOf(receiver)).toEqual(["flat"]);
  });

  test("is unknown while the store is away, so the job waits for it", async () => {
    const world = await DeliveryWorld.open({ targetMaxAgeMs: 500 });
    const receiver = await world.receive();
    await world.watch("OUT-1", { url: receiver.url() });
    const { jobs } = await world.registrations.see("OUT-1", "queued");
    await world.clock.advance(second);
    world.beforeStore = () => {
      throw new StoreUnavailableError("away");
    };
    world.dispatcher.accept(jobs);
    await world.settle();
    expect(receiver.received).toEqual([]);
    world.beforeStore = () => undefined;
    world.tickEachSecond();
    await world.clock.advance(2 * second);
    expect(receiver.received).toHaveLength(1);
  });
});

import { expect, test } from "vitest";
import { DeliveryWorld } from "../../harness/delivery-world.ts";
import { expectKind, only } from "../../harness/store-drafts.ts";

const shortages = (world: DeliveryWorld) => world.lines.filter(({ message }) => message === "connection.not_started");

test("a delivery that the process lacks the resources to start spends no attempt and is sent a second later", async () => {
  const world = await DeliveryWorld.open({ policy: { scheduleMs: [0, 60_000] } });
  const receiver = await world.receive();
  world.tickEachSecond();
  world.lacking = "EMFILE";
  await world.watch("OUT-1", { url: receiver.url() });
  await world.see("OUT-1", "queued");
  await world.clock.advance(10_000);
  const { delivery } = only(await world.deliveries());
  expect(delivery).toMatchObject({ status: "pending", attemptCount: 0 });
  expect(await world.attemptsOf(delivery.id)).toEqual([]);
  expect(world.sent.length).toBeGreaterThanOrEqual(9);
  expect(world.sent.length).toBeLessThanOrEqual(11);
  world.lacking = null;
  await world.clock.advance(1000);
  expect(only(await world.deliveries()).delivery).toMatchObject({ status: "delivered", attemptCount: 1 });
  expect(shortages(world)).toMatchObject([{ level: "warn", fields: { error_code: "EMFILE" } }]);
});

test("many that could not be started do not make a storm, and each trouble is logged once", async () => {
  const world = await DeliveryWorld.open();
  const receiver = await world.receive();
  world.tickEachSecond();
  world.lacking = "EADDRNOTAVAIL";
  await world.addPending(Array.from({ length: 60 }, (_, index) => receiver.url(`/${index}`)));
  await world.clock.advance(5000);
  expect(world.sent.length).toBeLessThanOrEqual(60 * 7);
  world.lacking = "EMFILE";
  await world.clock.advance(2000);
  expect(shortages(world).map(({ fields }) => fields["error_code"])).toEqual(["EADDRNOTAVAIL", "EMFILE"]);
  world.lacking = null;
  await world.clock.advance(3000);
  expect((await world.deliveries()).map(({ delivery }) => [delivery.status, delivery.attemptCount])).toEqual(
    Array.from({ length: 60 }, () => ["delivered", 1]),
  );
  await world.clock.advance(60_000);
  world.lacking = "EMFILE";
  await world.see("OUT-pending-0", "calling");
  await world.clock.advance(1000);
  expect(shortages(world)).toHaveLength(3);
});

test("a manual retry that could not be started is kept as well", async () => {
  const world = await DeliveryWorld.open({ policy: { scheduleMs: [0] } });
  const answers = { statusCode: 500 };
  const receiver = await world.receive(() => answers.statusCode);
  const { view } = await world.watch("OUT-1", { url: receiver.url() });
  await world.see("OUT-1", "queued");
  await world.settle();
  const { delivery } = only(await world.deliveries());
  world.lacking = "ENOMEM";
  const request = { by: null, accountId: view.watch.accountId, deliveryId: delivery.id, nowMs: world.clock.nowMs() };
  const { job } = expectKind(await world.store.claimManualRetry(request), "claimed");
  expect(await world.dispatcher.sendNow(job)).toBeNull();
  world.lacking = null;
  answers.statusCode = 200;
  world.tickEachSecond();
  await world.clock.advance(2000);
  expect(only(await world.deliveries()).delivery).toMatchObject({ status: "delivered", attemptCount: 2 });
});

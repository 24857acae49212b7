import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { DeliveryWorld } from "../../harness/delivery-world.ts";
import { expectKind, only } from "../../harness/store-drafts.ts";

/** Opens a world with one exhausted delivery and a receiver that answers with the current `statusCode`. */
async function openGivenUp() {
  const folder = await mkdtemp(join(tmpdir(), "ringback-retry-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const world = await DeliveryWorld.open({ policy: { scheduleMs: [0] }, path: join(folder, "ringback.db") });
  const answers = { statusCode: 500 };
  const receiver = await world.receive(() => answers.statusCode);
  const { view } = await world.watch("OUT-1", { url: receiver.url() });
  await world.see("OUT-1", "queued");
  await world.settle();
  const { accountId, endpointId } = view.watch;
  const { delivery } = only(await world.deliveries());
  expect(delivery.status).toBe("exhausted");
  const accept = async () =>
    expectKind(await world.store.claimManualRetry({ by: null, accountId, deliveryId: delivery.id, nowMs: world.clock.nowMs() }), "claimed")
      .job;
  return { world, answers, receiver, accept, accountId, endpointId: endpointId ?? "" };
}

test.each([
  [200, "delivered"],
  [500, "exhausted"],
])("a retry interrupted by a crash before its attempt is made once by the next process (%i)", async (statusCode, status) => {
  const { world, answers, receiver, accept } = await openGivenUp();
  await accept();
  answers.statusCode = statusCode;
  await world.crash();
  for (let n = 0; n < 3; n++) await world.tick();
  expect(receiver.received).toHaveLength(2);
  expect(only(await world.deliveries())).toMatchObject({ leased: false, delivery: { status, attemptCount: 2, nextAttemptAtMs: null } });
});

test("a retry interrupted by a stop is made after the restart, to a paused endpoint as well", async () => {
  const { world, receiver, accept, accountId, endpointId } = await openGivenUp();
  const job = await accept();
  await world.store.patchEndpoint({ by: null, accountId, endpointId, patch: { state: "paused" }, nowMs: world.clock.nowMs() });
  const stopping = world.dispatcher.stop(0);
  expect(await world.dispatcher.sendNow(job)).toBeNull();
  await stopping;
  await world.restart();
  for (let n = 0; n < 3; n++) await world.tick();
  expect(receiver.received).toHaveLength(2);
});

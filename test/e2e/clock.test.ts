import { expect, onTestFinished, test } from "vitest";
import { startReceiver } from "../../src/cli/receiver/receiver.ts";
import { FakeClock } from "../harness/fake-clock.ts";
import { ServiceWorld } from "../harness/service/service-world.ts";
import { simulatedUpstream } from "../harness/upstream/simulated-upstream.ts";

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;

/** Calls that are polled every 2 s, each with a pending webhook: the first attempt failed, the second is due 5 to 6 minutes later. */
async function withPendingWebhooks(calls: number) {
  const clock = new FakeClock(Date.now());
  const simulator = await simulatedUpstream({ clock, adopt: [{ atMs: 0, status: "queued" }] });
  let [delivered, underWay, mostUnderWay] = [0, 0, 0];
  const receiver = await startReceiver({
    answers: ({ attempt }) => (attempt === 1 ? 500 : { statusCode: 204, delayMs: 20 }),
    onDelivery: ({ attempt }) => {
      if (attempt === 1) return;
      delivered += 1;
      underWay += 1;
      mostUnderWay = Math.max(mostUnderWay, underWay);
      setTimeout(() => (underWay -= 1), 20);
    },
  });
  onTestFinished(() => receiver.close());
  const world = await ServiceWorld.start({ ...simulator.environment("polyai-legacy"), RETRY_SCHEDULE: "0s,5m,5m" }, { clock });
  const watches = Array.from({ length: calls }, (_, n) => ({ call_sid: `OUT-${n}`, callback_url: `${receiver.url}/${n}` }));
  await world.client.post("/v1/watches/batch", { watches });
  await world.until(async () => {
    const { body } = await world.client.get("/v1/deliveries?limit=200");
    const deliveries = body["data"] as readonly { attempt_count: number }[];
    return deliveries.length === calls && deliveries.every(({ attempt_count: attempts }) => attempts === 1);
  });
  const pollsWithin = async (ms: number) => {
    const before = simulator.totalPolls;
    await world.advance(ms);
    return simulator.totalPolls - before;
  };
  return { clock, world, pollsWithin, delivered: () => delivered, mostUnderWay: () => mostUnderWay };
}

test.each([
  ["back by a year", -365 * 24 * hour],
  ["forward by an hour", hour],
])("a wall clock set %s neither delays pending webhooks nor changes the polling interval", async (_name, steppedMs) => {
  const { clock, world, pollsWithin, delivered } = await withPendingWebhooks(3);
  const usual = await pollsWithin(20 * second);
  expect(usual).toBeGreaterThan(20);
  clock.setWall(clock.nowMs() + steppedMs);
  expect(Math.abs((await pollsWithin(20 * second)) - usual)).toBeLessThanOrEqual(6);
  await world.until(() => delivered() === 3, 6 * minute);
});

test("webhooks that fall due at once are sent within the limits of their host", async () => {
  const { clock, world, delivered, mostUnderWay } = await withPendingWebhooks(100);
  clock.setWall(clock.nowMs() + hour);
  await world.until(() => delivered() === 100, minute);
  expect(mostUnderWay()).toBeLessThanOrEqual(64);
});

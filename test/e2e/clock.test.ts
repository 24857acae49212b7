import { expect, onTestFinished, test } from "vitest";
import { startReceiver } from "../../src/cli/receiver/receiver.ts";
import { FakeClock } from "../harness/fake-clock.ts";
import { runningService } from "../harness/clocked-service.ts";
import { simulatedUpstream } from "../harness/upstream/simulated-upstream.ts";

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;

/** So many calls, each polled every 2 s and owed a webhook whose first attempt failed; the second is due 5 to 6 minutes later. */
async function owing(calls: number) {
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
  const running = await runningService({ ...simulator.environment("polyai-legacy"), RETRY_SCHEDULE: "0s,5m,5m" }, clock);
  const watches = Array.from({ length: calls }, (_, n) => ({ call_sid: `OUT-${n}`, callback_url: `${receiver.url}/${n}` }));
  await running.client.post("/v1/watches/batch", { watches });
  await running.until(async () => {
    const { body } = await running.client.get("/v1/deliveries?limit=200");
    const deliveries = body["data"] as readonly { attempt_count: number }[];
    return deliveries.length === calls && deliveries.every(({ attempt_count: attempts }) => attempts === 1);
  });
  const pollsWithin = async (ms: number) => {
    const before = simulator.totalPolls;
    await running.advance(ms);
    return simulator.totalPolls - before;
  };
  return { ...running, pollsWithin, delivered: () => delivered, mostUnderWay: () => mostUnderWay };
}

test.each([
  ["back by an hour", -hour],
  ["back by a year", -365 * 24 * hour],
  ["forward by an hour", hour],
])("a wall clock set %s neither holds up what is owed nor changes how often is polled", async (_name, steppedMs) => {
  const { clock, pollsWithin, until, delivered } = await owing(3);
  const usual = await pollsWithin(20 * second);
  expect(usual).toBeGreaterThan(20);
  clock.setWall(clock.nowMs() + steppedMs);
  expect(Math.abs((await pollsWithin(20 * second)) - usual)).toBeLessThanOrEqual(6);
  await until(() => delivered() === 3, 6 * minute);
});

test("what falls due all at once goes out within the limits of its host", async () => {
  const { clock, until, delivered, mostUnderWay } = await owing(100);
  clock.setWall(clock.nowMs() + hour);
  await until(() => delivered() === 100, minute);
  expect(mostUnderWay()).toBeLessThanOrEqual(64);
});

import { expect, onTestFinished, test } from "vitest";
import { startReceiver } from "../../src/cli/receiver/receiver.ts";
import { FakeClock } from "../harness/fake-clock.ts";
import { startService } from "../harness/service/service.ts";
import { ServiceWorld } from "../harness/service/service-world.ts";
import type { ShownDelivery } from "../harness/service/service-world.ts";

/** An endpoint with one delivered event. The clock does not move, so all requests are in the same second. */
async function endpointOfOneWatch() {
  const receiver = await startReceiver();
  onTestFinished(() => receiver.close());
  const clock = new FakeClock(Date.now());
  const { send } = (await startService({ clock })).client;
  const body = { call_sid: "OUT-sandbox-slow-a", source: "sandbox", callback_url: receiver.url };
  const watch = (await send("POST", "/v1/watches", body)).body;
  await clock.advance(1000);
  const deliveries = async () =>
    (await send("GET", `/v1/deliveries?watch_id=${String(watch["id"])}`)).body["data"] as { id: string; status: string }[];
  await expect.poll(async () => (await deliveries())[0]?.status).toBe("delivered");
  const [delivery] = await deliveries();
  const paths = {
    watch: `/v1/watches/${String(watch["id"])}`,
    endpoint: `/v1/endpoints/${String(watch["endpoint_id"])}`,
    test: `/v1/endpoints/${String(watch["endpoint_id"])}/test`,
    retry: `/v1/deliveries/${String(delivery?.id)}/retry`,
  };
  return { send, clock, paths };
}

test("one test or retry per second and endpoint", async () => {
  const { send, clock, paths } = await endpointOfOneWatch();
  expect((await send("POST", paths.test)).status).toBe(200);
  for (const path of [paths.test, paths.retry]) {
    const answer = await send("POST", path);
    expect([answer.status, answer.headers["retry-after"]]).toEqual([429, "1"]);
  }
  await clock.advance(1000);
  expect((await send("POST", paths.retry)).status).toBe(202);
  expect((await send("POST", paths.test)).status).toBe(429);
});

test("a refused request does not count, and is refused as often as it is sent", async () => {
  const { send, paths } = await endpointOfOneWatch();
  await send("PATCH", paths.endpoint, { state: "disabled" });
  for (const path of [paths.test, paths.retry, paths.test]) expect((await send("POST", path)).status).toBe(409);
  await send("PATCH", paths.endpoint, { state: "enabled" });
  await send("DELETE", paths.watch);
  expect((await send("POST", paths.retry)).status).toBe(409);
  expect((await send("POST", paths.retry)).status).toBe(409);
  expect((await send("POST", paths.test)).status).toBe(200);
});

test("four retries and tests of an account are under way at once, beside the scheduled webhooks; the next is refused", async () => {
  const service = await ServiceWorld.start({ DELIVERY_MAX_IN_FLIGHT: "2", CALLBACK_ALLOW_HTTP: "true" });
  const answers: (() => void)[] = [];
  const hanging = { now: false };
  const receiver = await service.receive(async () => {
    if (hanging.now) await new Promise<void>((resolve) => answers.push(resolve));
    return 200;
  });
  const watches: ShownDelivery[] = [];
  for (let n = 0; n < 6; n++) watches.push(await service.firstAttempt(receiver.url(`/${n}`)));
  hanging.now = true;
  const retry = (n: number) => service.client.post(`/v1/deliveries/${watches[n]?.id}/retry`);
  expect([(await retry(0)).status, (await retry(1)).status, (await retry(2)).status]).toEqual([202, 202, 202]);
  const testing = service.client.post(`/v1/endpoints/${watches[3]?.endpoint_id}/test`);
  await expect.poll(() => answers.length).toBe(4);
  const refused = await retry(4);
  expect([refused.status, refused.headers["retry-after"]]).toEqual([429, "1"]);
  expect(String(refused.body["detail"])).toContain("/recover");
  hanging.now = false;
  // Scheduled webhooks have slots of their own.
  expect((await service.firstAttempt(receiver.url("/other"))).status).toBe("delivered");
  for (const answer of answers.splice(0)) answer();
  expect((await testing).status).toBe(200);
  await expect.poll(async () => (await retry(4)).status).toBe(202);
});

test("a retry waits for the rate of its endpoint", async () => {
  const service = await ServiceWorld.start();
  const receiver = await service.receive();
  const first = await service.firstAttempt(receiver.url());
  await service.client.send("PATCH", `/v1/endpoints/${first.endpoint_id}`, { max_per_second: 0.1 });
  const retry = async () => (await service.client.post(`/v1/deliveries/${first.id}/retry`)).status;
  const received = [];
  for (const waitMs of [1000, 2000]) {
    await service.pass(waitMs);
    expect(await retry()).toBe(202);
    await service.pass(1000);
    received.push(receiver.received.length);
  }
  await service.pass(10_000);
  expect([...received, receiver.received.length]).toEqual([2, 2, 3]);
});

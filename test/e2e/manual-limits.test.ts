import { expect, onTestFinished, test } from "vitest";
import { startReceiver } from "../../src/cli/receiver/receiver.ts";
import { FakeClock } from "../harness/fake-clock.ts";
import { startService } from "../harness/service/service.ts";

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

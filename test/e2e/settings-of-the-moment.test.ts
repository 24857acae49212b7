import { Webhook } from "standardwebhooks";
import { expect, test } from "vitest";
import { FakeClock } from "../harness/fake-clock.ts";
import type { CallbackAnswer } from "../harness/receivers/callbacks.ts";
import { ServiceWorld } from "../harness/service/service-world.ts";

// Set-up: an endpoint that takes one webhook at a time, and holds the first. Timeline: a second one waits in memory, leased,
// while the endpoint's secret and format are changed. What it proves: what waited goes out with the settings of its attempt.
test("a webhook that waited in memory is sent with the secret, format and headers of its attempt", async () => {
  // The official library compares the time of the webhook with the machine's.
  const world = await ServiceWorld.start({ ENDPOINT_MAX_IN_FLIGHT: "1" }, { clock: new FakeClock(Date.now()) });
  const first = Promise.withResolvers<CallbackAnswer>();
  const receiver = await world.receive(({ number }) => (number === 1 ? first.promise : 200));
  const { endpoint_id: endpointId } = await world.watch(receiver.url());
  await receiver.arrived(1);
  await world.watch(receiver.url());
  // Both are leased: one is on the wire, the other in memory.
  const isLeased = ({ explain }: { readonly explain: string }) => explain.endsWith("is being made");
  while ((await world.deliveriesOf("status=pending")).filter(isLeased).length < 2);
  expect(receiver.received).toHaveLength(1);

  const rotated = await world.client.post(`/v1/endpoints/${String(endpointId)}/rotate-secret`, { grace_seconds: 0 });
  const patched = await world.client.patch(`/v1/endpoints/${String(endpointId)}`, { format: "flat", headers: { "x-team": "crm" } });
  expect([rotated.status, patched.status]).toEqual([200, 200]);
  first.resolve(200);
  await receiver.arrived(2);

  const [, second] = receiver.received;
  if (second === undefined) throw new Error("two have arrived");
  expect(second.headers["x-team"]).toBe("crm");
  expect(JSON.parse(second.body)).toHaveProperty("watch_id");
  const verify = () => new Webhook(String(rotated.body["signing_secret"])).verify(second.body, { ...second.headers }, { jsonParse: false });
  expect(verify).not.toThrow();
});

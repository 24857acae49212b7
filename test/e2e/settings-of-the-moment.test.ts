import { Webhook } from "standardwebhooks";
import { expect, test } from "vitest";
import { FakeClock } from "../harness/fake-clock.ts";
import type { CallbackAnswer } from "../harness/receivers/callbacks.ts";
import { signingSecret } from "../harness/service/environment.ts";
import { ServiceWorld } from "../harness/service/service-world.ts";

const isLeased = ({ explain }: { readonly explain: string }) => explain.endsWith("is being made");

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

const waiting = 100;

// Set-up: an endpoint that takes one webhook at a time, and holds the first. Timeline: a hundred more wait, some leased in memory,
// while the secret is rotated without grace, and the format, the headers and the limit are changed. What it proves: none of
// them goes out with the old settings, and the limit holds at once.
test.each(["sqlite-memory", "postgres"] as const)(
  "a hundred webhooks behind a limit of one are sent with the settings of their attempts (%s)",
  async (database) => {
    const world = await ServiceWorld.start({ ENDPOINT_MAX_IN_FLIGHT: "1" }, { clock: new FakeClock(Date.now()), database });
    const first = Promise.withResolvers<CallbackAnswer>();
    const receiver = await world.receive(({ number }) => (number === 1 ? first.promise : 200));
    const { endpoint_id: endpointId } = await world.watch(receiver.url());
    await receiver.arrived(1);
    const wish = { source: "sandbox", events: ["call.queued"], callback_url: receiver.url(), signing_secret: signingSecret };
    const watches = Array.from({ length: waiting }, (_, n) => ({ call_sid: `OUT-sandbox-slow-waiting-${n}`, ...wish }));
    expect((await world.client.post("/v1/watches/batch", { watches })).status).toBe(200);
    while ((await world.deliveriesOf("status=pending")).filter(isLeased).length < 2);

    const path = `/v1/endpoints/${String(endpointId)}`;
    const rotated = await world.client.post(`${path}/rotate-secret`, { grace_seconds: 0 });
    const patched = await world.client.patch(path, { format: "flat", headers: { "x-team": "crm" }, max_in_flight: 8 });
    expect([rotated.status, patched.status]).toEqual([200, 200]);
    // The changed limit holds while the first exchange goes on.
    await receiver.arrived(2);
    first.resolve(200);
    await receiver.arrived(waiting + 1);

    const webhook = new Webhook(String(rotated.body["signing_secret"]));
    for (const { headers, body } of receiver.received.slice(1)) {
      expect(headers["x-team"]).toBe("crm");
      expect(JSON.parse(body)).toHaveProperty("watch_id");
      expect(() => webhook.verify(body, { ...headers }, { jsonParse: false })).not.toThrow();
    }
    expect(new Set(receiver.received.map(({ headers }) => headers["webhook-id"])).size).toBe(waiting + 1);
  },
);

test("a webhook that waits for a token of its rate is sent with the settings of its attempt, at once if the limit is lifted", async () => {
  const world = await ServiceWorld.start({}, { clock: new FakeClock(Date.now()) });
  const receiver = await world.receive();
  const { endpoint_id: endpointId } = await world.watch(receiver.url());
  await world.quiet();
  const path = `/v1/endpoints/${String(endpointId)}`;
  expect((await world.client.patch(path, { max_per_second: 0.1 })).status).toBe(200);
  for (let n = 0; n < 3; n++) await world.watch(receiver.url());
  // The bucket begins with one token.
  await receiver.arrived(2);
  const rotated = await world.client.post(`${path}/rotate-secret`, { grace_seconds: 0 });
  expect((await world.client.patch(path, { max_per_second: null, format: "flat" })).status).toBe(200);
  await receiver.arrived(4);
  const webhook = new Webhook(String(rotated.body["signing_secret"]));
  for (const { headers, body } of receiver.received.slice(2)) {
    expect(JSON.parse(body)).toHaveProperty("watch_id");
    expect(() => webhook.verify(body, { ...headers }, { jsonParse: false })).not.toThrow();
  }
});

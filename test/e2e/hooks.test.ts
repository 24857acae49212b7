import { describe, expect, test } from "vitest";
import type { Callback } from "../harness/receivers/callbacks.ts";
import { ServiceWorld } from "../harness/service/service-world.ts";
import type { Json } from "../harness/service/client.ts";
import { second } from "../harness/store-drafts.ts";

type Flat = Json & { readonly type: string; readonly watch_id: string; readonly sequence: number; readonly call_sid: string };

const flatOf = ({ body }: Callback) => JSON.parse(body) as Flat;
const typesOf = (callbacks: readonly Callback[]) => callbacks.map((callback) => `${flatOf(callback).sequence} ${flatOf(callback).type}`);

const keysOf = (event: object) => Object.keys(event).toSorted();

async function hook(service: ServiceWorld, body: Json): Promise<Json> {
  const answer = await service.client.post("/v1/hooks", body);
  expect([answer.status, answer.body["type"]]).toEqual([201, undefined]);
  return answer.body;
}

describe("subscribing", () => {
  test.each(["url", "target_url", "targetUrl", "hookUrl"])(
    "with %s, and again with its events in another order: the same hook",
    async (key) => {
      const service = await ServiceWorld.start();
      const receiver = await service.receive();
      const made = await hook(service, { [key]: receiver.url(), events: ["terminal", "call.queued"], zap_id: 7 });
      expect(made).toMatchObject({
        url: receiver.url(),
        events: ["terminal", "call.queued"],
        format: "flat",
        endpoint_state: "enabled",
        ignored: ["zap_id"],
        secret: expect.stringMatching(/^whsec_/) as string,
      });
      const again = await service.client.post("/v1/hooks", { hookUrl: receiver.url(), event: ["call.queued", "terminal"] });
      expect([again.status, again.body["id"], again.body["secret"], again.body["ignored"]]).toEqual([200, made["id"], null, []]);
      const other = await hook(service, { url: receiver.url(), event: "call.failure" });
      expect(other).toMatchObject({ secret: null, events: ["call.failure"], endpoint_id: made["endpoint_id"] });
      expect(other["id"]).not.toBe(made["id"]);
      // No handshake: nothing was sent to the URL.
      await service.quiet();
      expect(receiver.received).toEqual([]);
    },
  );

  test("and unsubscribing is 204 for any id of a hook's shape, also when it is gone already, and 404 for anything else", async () => {
    const service = await ServiceWorld.start();
    const receiver = await service.receive();
    const { id } = await hook(service, { url: receiver.url() });
    for (const gone of [id, id, "hk_never"]) expect((await service.client.delete(`/v1/hooks/${String(gone)}`)).status).toBe(204);
    for (const mistake of ["undefined", "{{bundle.id}}", "no id at all"])
      expect((await service.client.delete(`/v1/hooks/${encodeURIComponent(mistake)}`)).status).toBe(404);
    expect((await service.client.get(`/v1/hooks/${String(id)}`)).status).toBe(404);
  });
});

describe("a hook is sent", () => {
  test("each transition once per call, through the oldest watch, however many there are", async () => {
    const service = await ServiceWorld.start();
    const [toHook, toWatch] = [await service.receive(), await service.receive()];
    await hook(service, { url: toHook.url() });
    const callSid = "OUT-sandbox-success-many";
    const oldest = await service.watch(null, { call_sid: callSid, events: null });
    await service.watch(toWatch.url("/a"), { call_sid: callSid, events: null });
    await service.watch(toWatch.url("/b"), { call_sid: callSid, events: null });
    await service.pass(12 * second);
    expect(typesOf(toHook.received)).toEqual(["1 call.queued", "2 call.calling", "3 call.success"]);
    expect(new Set(toHook.received.map((callback) => flatOf(callback).watch_id))).toEqual(new Set([oldest["id"]]));
    expect(toWatch.received).toHaveLength(6);
  });

  test("by the next oldest when the oldest is deleted, with its own id and sequence, and nothing twice", async () => {
    const service = await ServiceWorld.start();
    const [toHook, toWatch] = [await service.receive(), await service.receive()];
    await hook(service, { url: toHook.url() });
    const callSid = "OUT-sandbox-slow-takeover";
    const oldest = await service.watch(null, { call_sid: callSid, events: null });
    await service.pass(8 * second);
    const next = await service.watch(toWatch.url(), { call_sid: callSid, events: null });
    const last = await service.watch(toWatch.url("/last"), { call_sid: callSid, events: null });
    expect((await service.client.delete(`/v1/watches/${String(oldest["id"])}`)).status).toBe(204);
    await service.pass(6 * second);
    expect(toHook.received.map((callback) => [flatOf(callback).type, flatOf(callback).watch_id, flatOf(callback).sequence])).toEqual([
      ["call.queued", oldest["id"], 1],
      ["call.calling", oldest["id"], 2],
      // `calling` was the first event of the watch that took over.
      ["call.success", next["id"], 2],
    ]);
    expect(last["id"]).not.toBe(next["id"]);
  });

  test("with a watch of the same URL: one event, one delivery", async () => {
    const service = await ServiceWorld.start();
    const receiver = await service.receive();
    const { endpoint_id } = await hook(service, { url: receiver.url(), format: "standard" });
    const watch = await service.watch(receiver.url(), { events: null, signing_secret: undefined });
    expect(watch["endpoint_id"]).toBe(endpoint_id);
    await service.pass(13 * second);
    expect(receiver.received).toHaveLength(3);
  });
});

describe("deliveries of a deleted hook alone are canceled", () => {
  test("and what its watch of the same URL or another hook asked for is still sent", async () => {
    const service = await ServiceWorld.start();
    let status = 500;
    const receiver = await service.receive(() => status);
    const mine = await hook(service, { url: receiver.url(), events: ["call.queued"] });
    await hook(service, { url: receiver.url(), events: ["call.calling"] });
    const alone = await service.watch(null, { scenario: "slow", events: null });
    const shared = await service.watch(receiver.url(), { scenario: "slow", events: ["call.queued"], signing_secret: undefined });
    await service.pass(8 * second);
    expect((await service.client.delete(`/v1/hooks/${String(mine["id"])}`)).status).toBe(204);
    status = 200;
    const before = receiver.received.length;
    await service.leap(3600 * second);
    const sent = receiver.received
      .slice(before)
      .map((callback) => [flatOf(callback).watch_id === alone["id"] ? "alone" : "shared", flatOf(callback).type]);
    expect(sent.toSorted()).toEqual([
      ["alone", "call.calling"],
      ["shared", "call.calling"],
      ["shared", "call.queued"],
    ]);
    const [canceled] = await service.deliveriesOf(`watch_id=${String(alone["id"])}`);
    expect(canceled).toMatchObject({ event_type: "call.queued", status: "canceled" });
    expect(shared["status"]).toBe("active");
  });

  test("also while it waits in memory for a place", async () => {
    const service = await ServiceWorld.start({ ENDPOINT_MAX_IN_FLIGHT: "1" });
    const held = Promise.withResolvers<void>();
    const receiver = await service.receive(async () => {
      await held.promise;
      return 200;
    });
    const { id } = await hook(service, { url: receiver.url(), events: ["call.queued"] });
    for (let n = 0; n < 4; n++) await service.watch(null, { events: null });
    await receiver.arrived(1);
    expect((await service.client.delete(`/v1/hooks/${String(id)}`)).status).toBe(204);
    held.resolve();
    await service.attempted(1);
    await service.pass(2 * second);
    expect(receiver.received).toHaveLength(1);
    const deliveries = await service.deliveriesOf("");
    expect(deliveries.map(({ status }) => status)).toEqual(Array(4).fill("canceled"));
  });
});

test("410 disables the hook; subscribing again brings it back and enables the endpoint", async () => {
  const service = await ServiceWorld.start();
  const receiver = await service.receive(({ number }) => (number === 1 ? 410 : 200));
  const first = await hook(service, { url: receiver.url() });
  await service.watch(null, { events: null });
  await service.attempted(1);
  await service.quiet();
  expect(await service.get(`/v1/hooks/${String(first["id"])}`)).toMatchObject({ endpoint_state: "disabled" });
  expect(await service.endpoint(String(first["endpoint_id"]))).toMatchObject({
    state: "disabled",
    reason: "gone",
    hooks: [first["id"]],
  });
  const again = (await service.client.post("/v1/hooks", { url: receiver.url() })).body;
  expect(again["id"]).toBe(first["id"]);
  expect(again).toMatchObject({ endpoint_id: first["endpoint_id"], endpoint_state: "enabled", secret: null });
  await service.watch(null, { events: null });
  await service.attempted(2);
  expect(typesOf(receiver.received)).toEqual(["1 call.queued", "1 call.queued"]);
});

describe("the sample has exactly the keys of what is sent", () => {
  const metadata = { lead_id: "00Q5g000" };

  test("made up where there is nothing, recent where there is, newest first", async () => {
    const service = await ServiceWorld.start();
    const receiver = await service.receive();
    await hook(service, { url: receiver.url() });
    const sample = async (query = "") => (await service.client.get(`/v1/hooks/sample${query}`)).body as unknown as readonly Flat[];
    const madeUp = await sample();
    expect(madeUp).toHaveLength(3);
    await service.watch(null, { scenario: "failure", events: null, metadata });
    await service.pass(10 * second);
    const live = receiver.received.map((callback) => flatOf(callback));
    expect(live.map(({ type }) => type)).toEqual(["call.queued", "call.calling", "call.failure"]);
    for (const event of [...madeUp, ...(await sample())]) expect(keysOf(event)).toEqual(keysOf(live[0] ?? {}));
    expect(await sample()).toEqual(live.toReversed());
    expect((await sample("?event=terminal")).map(({ type }) => type)).toEqual(["call.failure"]);
    expect(await sample("?event=call.queued&limit=1")).toEqual([live[0]]);
    // Of a kind the account has none of it is made up again.
    const lost = await sample("?event=watch.lost");
    expect(lost.map(({ type }) => type)).toEqual(["watch.lost"]);
    expect(keysOf(lost[0] ?? {})).toEqual(keysOf(live[0] ?? {}));
  });
});

test("late events are dropped for a hook's own endpoint, never the terminal one", async () => {
  const service = await ServiceWorld.start({ RETRY_SCHEDULE: "0s,1h,1h", ORDER_HOLD_MS: "1000" });
  const receiver = await service.receive(({ number }) => (number === 1 ? 500 : 200));
  const { endpoint_id } = await hook(service, { url: receiver.url() });
  expect(await service.endpoint(String(endpoint_id))).toMatchObject({ late: "drop" });
  const { id } = await service.watch(null, { scenario: "success", events: null });
  await service.pass(11 * second);
  const deliveries = await service.deliveriesOf(`watch_id=${String(id)}`);
  expect(deliveries.map(({ event_type, status }) => [event_type, status])).toEqual([
    ["call.queued", "superseded"],
    ["call.calling", "delivered"],
    ["call.success", "delivered"],
  ]);
  await service.leap(3600 * second);
  expect(typesOf(receiver.received)).toEqual(["1 call.queued", "2 call.calling", "3 call.success"]);
});

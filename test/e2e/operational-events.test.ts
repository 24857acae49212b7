import { describe, expect, test } from "vitest";
import type { Callback } from "../harness/receivers/callbacks.ts";
import { ServiceWorld } from "../harness/service/service-world.ts";
import type { Json } from "../harness/service/client.ts";
import { simulatedUpstream } from "../harness/upstream/simulated-upstream.ts";
import { hour, second } from "../harness/store-drafts.ts";

const jsonOf = ({ body }: Callback) => JSON.parse(body) as Json & { readonly type: string };

async function hook(service: ServiceWorld, url: string, events: readonly string[] | null, format = "standard"): Promise<Json> {
  const answer = await service.client.post("/v1/hooks", { url, format, ...(events === null ? {} : { events }) });
  expect([answer.status, answer.body["type"]]).toEqual([201, undefined]);
  return answer.body;
}

const operational = ["endpoint.disabled", "delivery.exhausted", "source.suspended", "source.resumed"];

describe("an operational event goes to the hooks that name it", () => {
  test("delivery.exhausted", async () => {
    const service = await ServiceWorld.start({ RETRY_SCHEDULE: "0s,1s" });
    const broken = await service.receive(() => 500);
    const [naming, others] = [await service.receive(), await service.receive()];
    const delivery = await service.firstAttempt(broken.url());
    await hook(service, naming.url("/standard"), ["delivery.exhausted"]);
    await hook(service, naming.url("/flat"), ["delivery.exhausted", "call.success"], "flat");
    await hook(service, others.url("/all"), null);
    await hook(service, others.url("/other"), ["endpoint.disabled"]);
    await service.pass(2 * second);
    const exhausted = await service.delivery(delivery.id);
    expect(exhausted.status).toBe("exhausted");
    const data = {
      endpoint_id: delivery.endpoint_id,
      delivery_id: delivery.id,
      hook_ids: null,
      watch_id: delivery.watch_id,
      call_sid: delivery.call_sid,
      placing_id: null,
      key_id: null,
      source: null,
      state: "exhausted",
      reason: "status",
      idempotency_key: null,
      observed_at: exhausted.settled_at,
    };
    expect(naming.received.map((callback) => [callback.path, jsonOf(callback)]).toSorted()).toEqual([
      ["/flat", { id: naming.received[0]?.headers["webhook-id"], type: "delivery.exhausted", timestamp: exhausted.settled_at, ...data }],
      ["/standard", { type: "delivery.exhausted", timestamp: exhausted.settled_at, data: { ...data, metadata: null } }],
    ]);
    // One event, however many hooks name it.
    expect(new Set(naming.received.map(({ headers }) => headers["webhook-id"])).size).toBe(1);
    expect(others.received).toEqual([]);
  });

  test("endpoint.disabled, for a 410 and for nothing but failures", async () => {
    const service = await ServiceWorld.start({
      RETRY_SCHEDULE: ["0s", ...Array<string>(11).fill("1h")].join(","),
      ENDPOINT_DISABLE_AFTER_MS: String(9 * hour),
    });
    const broken = await service.receive(({ path }) => (path === "/gone" ? 410 : 500));
    const naming = await service.receive();
    await hook(service, naming.url(), ["endpoint.disabled"]);
    const gone = await service.firstAttempt(broken.url("/gone"));
    const failing = await service.firstAttempt(broken.url("/failing"));
    for (let n = 0; n < 9; n++) await service.leap(hour);
    expect(naming.received.map((callback) => jsonOf(callback))).toMatchObject([
      { type: "endpoint.disabled", data: { endpoint_id: gone.endpoint_id, delivery_id: null, state: "disabled", reason: "gone" } },
      { type: "endpoint.disabled", data: { endpoint_id: failing.endpoint_id, state: "disabled", reason: "failing" } },
    ]);
  });

  test("endpoint.failing, endpoint.recovered and call.overdue", async () => {
    const service = await ServiceWorld.start({
      RETRY_SCHEDULE: "0s,1m,1m,1m,1m",
      ENDPOINT_FAILING_AFTER_MS: "60000",
      CALL_OVERDUE_AFTER_MS: "1000",
    });
    let status = 500;
    const broken = await service.receive(() => status);
    const naming = await service.receive();
    await hook(service, naming.url(), ["endpoint.failing", "endpoint.recovered", "call.overdue"]);
    const { endpoint_id } = await service.firstAttempt(broken.url());
    await service.pass(6 * second);
    for (let n = 0; n < 3; n++) await service.leap(80 * second);
    status = 200;
    await service.leap(80 * second);
    const { data } = await service.get<{ data: readonly Json[] }>("/v1/watches");
    const { id: watch_id, call_sid } = data[0] ?? {};
    const nothing = { delivery_id: null, hook_ids: null, placing_id: null, key_id: null, metadata: null, idempotency_key: null };
    const overdue = { endpoint_id: null, watch_id, call_sid, source: "sandbox", state: "overdue", reason: null };
    const ofEndpoint = { endpoint_id, watch_id: null, call_sid: null, source: null };
    expect(naming.received.map((callback) => jsonOf(callback))).toMatchObject([
      { type: "call.overdue", data: { ...nothing, ...overdue } },
      { type: "endpoint.failing", data: { ...nothing, ...ofEndpoint, state: "failing", reason: "status" } },
      { type: "endpoint.recovered", data: { ...nothing, ...ofEndpoint, state: "recovered", reason: null } },
    ]);
  });

  test("source.suspended and source.resumed", async () => {
    const simulator = await simulatedUpstream();
    simulator.fault({ kind: "status", statusCode: 401 });
    const service = await ServiceWorld.start({ POLYAI_BASE_URL: simulator.url, POLYAI_AUTH_TOKEN: "token" });
    const naming = await service.receive();
    await hook(service, naming.url(), ["source.suspended", "source.resumed"]);
    await service.client.post("/v1/watches", { call_sid: simulator.trigger(), callback_url: naming.url("/calls") });
    await naming.arrived(1);
    simulator.clearFaults();
    for (let seconds = 0; naming.received.filter(({ path }) => path === "/hook").length < 2 && seconds < 120; seconds++)
      await service.pass(second);
    const received = naming.received.filter(({ path }) => path === "/hook").map((callback) => jsonOf(callback));
    expect(received).toMatchObject([
      { type: "source.suspended", data: { source: "default", state: "suspended", endpoint_id: null, delivery_id: null } },
      { type: "source.resumed", data: { source: "default", state: "ok", reason: null } },
    ]);
  });
});

describe("operational events end somewhere", () => {
  test("never to the endpoint they are about, and the trouble of one of them makes no other", async () => {
    const service = await ServiceWorld.start({ RETRY_SCHEDULE: "0s", ENDPOINT_DISABLE_AFTER_MS: "0" });
    const receivers = await Promise.all([service.receive(() => 500), service.receive(() => 500), service.receive(() => 410)]);
    const hooks = [];
    for (const { url } of receivers) hooks.push(await hook(service, url(), [...operational, "call.queued"]));
    const calls = 14;
    for (let n = 0; n < calls; n++) await service.watch(null, { events: null });
    await service.pass(5 * second);
    const { data } = await service.get<{ data: readonly { type: string; data: Json }[] }>(
      `/v1/events?limit=200&type=${operational.join(",")}`,
    );
    const types = data.map(({ type }) => type).filter((type) => operational.includes(type));
    // Each delivery of a call's event that was given up makes one, and each endpoint that was disabled one.
    const deliveries = await service.deliveriesOf("");
    const ofCalls = deliveries.filter(({ event_type, status }) => event_type === "call.queued" && status === "exhausted");
    expect(types.filter((type) => type === "delivery.exhausted")).toHaveLength(ofCalls.length);
    expect(types.filter((type) => type === "endpoint.disabled").length).toBeLessThanOrEqual(3);
    const aboutItself = deliveries.filter(({ event_id, endpoint_id }) =>
      data.some((event) => (event as Json)["id"] === event_id && event.data["endpoint_id"] === endpoint_id),
    );
    expect(aboutItself).toEqual([]);
    const before = (await service.deliveriesOf("")).length;
    await service.leap(hour);
    expect((await service.deliveriesOf("")).length).toBe(before);
    expect(hooks).toHaveLength(3);
  });

  test("a failed test makes none", async () => {
    const service = await ServiceWorld.start({ RETRY_SCHEDULE: "0s" });
    const [broken, naming] = [await service.receive(() => 500), await service.receive()];
    await hook(service, naming.url(), operational);
    const { endpoint_id } = await hook(service, broken.url(), ["watch.lost"]);
    expect((await service.client.post(`/v1/endpoints/${String(endpoint_id)}/test`)).body).toMatchObject({ decision: "failed" });
    await service.pass(second);
    expect(naming.received).toEqual([]);
  });
});

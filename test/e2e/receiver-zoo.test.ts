import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { startNameServer } from "../harness/receivers/name-server.ts";
import { startReceiver, zoo } from "../harness/receivers/receiver-zoo.ts";
import { ServiceWorld } from "../harness/service/service-world.ts";
import type { Json } from "../harness/service/client.ts";
import { selfSigned } from "../harness/receivers/self-signed.ts";
import { startMs } from "../harness/store-drafts.ts";

/*
 * One test for each class of answers of a receiver: what the delivery shows, the state of the endpoint, and what is sent
 * to it afterwards. The tables of the domain hold the single codes, the tests of the sender the single faults.
 */

const at = (ms: number) => new Date(startMs + ms).toISOString();

/** Makes a second webhook for the same endpoint in its present state; true if it is sent at once. */
async function sendsAtOnce(service: ServiceWorld, url: string): Promise<boolean> {
  const { id } = await service.watch(url);
  await service.quiet();
  return (await service.deliveryOf(String(id))).attempt_count > 0;
}

describe("2xx", () => {
  test.each([200, 204])("%i is delivered", async (status) => {
    const service = await ServiceWorld.start();
    const receiver = await service.receive(() => ({ status, body: status === 204 ? "" : "thanks" }));
    const delivery = await service.firstAttempt(receiver.url());
    expect(delivery).toMatchObject({
      status: "delivered",
      attempt_count: 1,
      next_attempt_at: null,
      settled_at: at(0),
      attempts: [{ number: 1, status_code: status, error: null, response_excerpt: status === 204 ? "" : "thanks", decision: "delivered" }],
    });
    expect(await service.endpoint(delivery.endpoint_id)).toMatchObject({ state: "enabled", last_success_at: at(0), backlog: 0 });
    await service.leap(86_400_000);
    expect(receiver.received).toHaveLength(1);
  });

  test("of which more than 64 KiB come is delivered, and its excerpt is 1 KiB", async () => {
    const service = await ServiceWorld.start();
    const receiver = await startReceiver(zoo.endlessBody);
    const delivery = await service.firstAttempt(receiver.url);
    expect(delivery).toMatchObject({ status: "delivered", attempts: [{ status_code: 200, response_excerpt: "x".repeat(1024) }] });
    await receiver.released();
  });
});

test("410: the endpoint is disabled at once, its watches and pending webhooks are canceled, its hooks disabled", async () => {
  const service = await ServiceWorld.start();
  const held = Promise.withResolvers<void>();
  const receiver = await service.receive(async () => {
    await held.promise;
    return 410;
  });
  const hook = await service.client.post("/v1/hooks", { url: receiver.url(), events: ["watch.lost"], format: "standard" });
  const watches = [];
  for (let n = 0; n < 2; n++) watches.push(await service.watch(receiver.url(), { signing_secret: undefined, events: null }));
  // The first event of each is on the wire, the second waits behind it.
  await service.pass(8000);
  expect(receiver.unanswered).toBe(2);
  held.resolve();
  await service.attempted(2);
  await service.quiet();

  const deliveries = await service.deliveriesOf(`endpoint_id=${String(hook.body["endpoint_id"])}`);
  expect(deliveries.map(({ event_type, status }) => [event_type, status])).toEqual([
    ["call.queued", "failed"],
    ["call.queued", "canceled"],
    ["call.calling", "canceled"],
    ["call.calling", "canceled"],
  ]);
  for (const { id } of deliveries.slice(0, 2))
    expect((await service.delivery(id)).attempts).toMatchObject([{ status_code: 410, error: { code: "gone" }, decision: "gone" }]);
  for (const watch of watches)
    expect(await service.get(`/v1/watches/${String(watch["id"])}`)).toMatchObject({ status: "canceled", end_reason: "gone" });
  expect(await service.get(`/v1/hooks/${String(hook.body["id"])}`)).toMatchObject({ endpoint_state: "disabled" });
  expect(await service.endpoint(String(hook.body["endpoint_id"]))).toMatchObject({ state: "disabled", reason: "gone", backlog: 0 });
  await service.pass(60_000);
  expect(receiver.received).toHaveLength(2);
});

describe("429", () => {
  test("is deferred: no step is spent, the endpoint pauses for 5 s doubling to 5 min, one goes first, a 2xx opens the rest", async () => {
    const service = await ServiceWorld.start({}, { random: () => 1 });
    let status = 429;
    const receiver = await service.receive(() => status);
    const delivery = await service.firstAttempt(receiver.url());
    expect(delivery).toMatchObject({
      status: "pending",
      next_attempt_at: at(5000),
      attempts: [{ status_code: 429, error: { code: "status", detail: "answered 429" }, decision: "deferred" }],
    });
    expect(await service.endpoint(delivery.endpoint_id)).toMatchObject({ state: "paused", reason: "rate_limited", paused_until: at(5000) });
    expect(await sendsAtOnce(service, receiver.url())).toBe(false);
    expect(await sendsAtOnce(service, receiver.url())).toBe(false);

    let atMs = 0;
    for (const pauseMs of [5000, 10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000]) {
      const before = receiver.received.length;
      await service.leap(pauseMs - 1);
      expect(receiver.received).toHaveLength(before);
      await service.leap(1);
      // Three are due, one goes.
      expect(receiver.received).toHaveLength(before + 1);
      atMs += pauseMs;
    }
    status = 200;
    await service.leap(300_000);
    const deliveries = await service.deliveriesOf("");
    expect(deliveries.map((shown) => shown.status)).toEqual(["delivered", "delivered", "delivered"]);
    const { attempts } = await service.delivery(delivery.id);
    expect(attempts.slice(0, -1).every(({ decision }) => decision === "deferred")).toBe(true);
    expect(await service.endpoint(delivery.endpoint_id)).toMatchObject({ state: "enabled", paused_until: null });
    expect(atMs).toBeGreaterThan(300_000);
  });

  test("holds the other URLs of its host only once a second URL answers so within a minute", async () => {
    const service = await ServiceWorld.start();
    const receiver = await service.receive(() => 429);
    await service.firstAttempt(receiver.url());
    expect(await sendsAtOnce(service, receiver.url("/second"))).toBe(true);
    expect(await sendsAtOnce(service, receiver.url("/third"))).toBe(false);
    const [third] = (await service.get<{ data: readonly Json[] }>("/v1/endpoints")).data;
    expect(third).toMatchObject({ url: receiver.url("/third"), state: "paused", reason: "host", paused_until: at(5000), backlog: 1 });
    expect(third?.["explain"]).toBe(`1 webhook is pending; nothing is sent until the endpoint's host's pause ends at ${at(5000)}`);
  });

  test("holds the other URLs of a host in HOST_RATE_LIMITS at once", async () => {
    const service = await ServiceWorld.start({ HOST_RATE_LIMITS: "127.0.0.1=1000" });
    const receiver = await service.receive(() => 429);
    await service.firstAttempt(receiver.url());
    expect(await sendsAtOnce(service, receiver.url("/second"))).toBe(false);
  });

  test("PATCH enabled ends the endpoint's pause, and says when the pause is its host's", async () => {
    const service = await ServiceWorld.start();
    let status = 429;
    const receiver = await service.receive(() => ({ status, headers: { "retry-after": "600" } }));
    const { id, endpoint_id } = await service.firstAttempt(receiver.url());
    status = 200;
    const enable = async () => (await service.client.patch(`/v1/endpoints/${endpoint_id}`, { state: "enabled" })).body;
    expect(await enable()).toMatchObject({ state: "enabled", reason: null, paused_until: null });
    await service.attempted(2);
    expect(await service.delivery(id)).toMatchObject({ status: "delivered" });
    status = 503;
    await service.firstAttempt(receiver.url());
    expect(await enable()).toMatchObject({ state: "paused", reason: "host", paused_until: at(600_000) });
  });

  test("with Retry-After: the pause is as long as that", async () => {
    const service = await ServiceWorld.start({}, { random: () => 1 });
    const receiver = await service.receive(({ number }) => (number === 1 ? { status: 429, headers: { "retry-after": "90" } } : 200));
    const delivery = await service.firstAttempt(receiver.url());
    expect(delivery).toMatchObject({
      next_attempt_at: at(90_000),
      attempts: [{ error: { code: "status", detail: "answered 429 and asks to wait 90 s" }, decision: "deferred" }],
    });
    await service.leap(89_999);
    expect(receiver.received).toHaveLength(1);
    await service.leap(1);
    expect(await service.delivery(delivery.id)).toMatchObject({ status: "delivered", attempt_count: 2 });
  });

  test("pauses no other host", async () => {
    const service = await ServiceWorld.start();
    const receiver = await service.receive(() => 429);
    const elsewhere = await service.receive();
    await service.firstAttempt(receiver.url());
    expect(await sendsAtOnce(service, elsewhere.url())).toBe(true);
  });
});

test("503 with Retry-After is deferred", async () => {
  const service = await ServiceWorld.start();
  const receiver = await service.receive(({ number }) => (number === 1 ? { status: 503, headers: { "retry-after": "30" } } : 200));
  const delivery = await service.firstAttempt(receiver.url());
  expect(delivery).toMatchObject({ next_attempt_at: at(30_000), attempts: [{ status_code: 503, decision: "deferred" }] });
  expect(await service.endpoint(delivery.endpoint_id)).toMatchObject({ state: "paused", reason: "unavailable", paused_until: at(30_000) });
  await service.leap(30_000);
  expect(await service.delivery(delivery.id)).toMatchObject({ status: "delivered", attempt_count: 2 });
});

test.each([
  [503, null, 5000],
  [502, "60", 60_000],
  [504, "2", 5000],
])("%i with Retry-After %s is a failed attempt, and the endpoint pauses for %i ms", async (status, retryAfter, pauseMs) => {
  const service = await ServiceWorld.start();
  const headers: Readonly<Record<string, string>> = retryAfter === null ? {} : { "retry-after": retryAfter };
  const receiver = await service.receive(({ number }) => (number === 1 ? { status, headers } : 200));
  const delivery = await service.firstAttempt(receiver.url());
  // The second step of the schedule is 5 s.
  expect(delivery).toMatchObject({
    next_attempt_at: at(Math.max(5000, pauseMs)),
    attempts: [{ status_code: status, error: { code: "status" }, decision: "retry" }],
  });
  expect(await service.endpoint(delivery.endpoint_id)).toMatchObject({ state: "paused", reason: "unavailable", paused_until: at(pauseMs) });
  expect(await sendsAtOnce(service, receiver.url())).toBe(false);
  await service.leap(Math.max(5000, pauseMs));
  expect((await service.deliveriesOf("")).map((shown) => shown.status)).toEqual(["delivered", "delivered"]);
});

test.each([302, 304])("%i is a failed attempt and never followed", async (status) => {
  const service = await ServiceWorld.start();
  const target = await service.receive();
  const receiver = await service.receive(() => ({ status, headers: { location: target.url() } }));
  const delivery = await service.firstAttempt(receiver.url());
  expect(delivery).toMatchObject({ status: "pending", next_attempt_at: at(5000) });
  expect(delivery.attempts).toMatchObject([{ status_code: status, error: { code: "redirect" }, decision: "retry" }]);
  expect(delivery.attempts[0]?.error?.detail).toContain("never followed");
  await service.leap(5000);
  expect([receiver.received.length, target.received.length]).toEqual([2, 0]);
});

test.each([404, 500])("%i is a failed attempt, and the endpoint does not pause", async (status) => {
  const service = await ServiceWorld.start();
  const receiver = await service.receive(({ number }) => (number === 1 ? { status, body: "no" } : 200));
  const delivery = await service.firstAttempt(receiver.url());
  expect(delivery).toMatchObject({
    status: "pending",
    next_attempt_at: at(5000),
    attempts: [{ status_code: status, error: { code: "status", detail: `answered ${status}` }, response_excerpt: "no", decision: "retry" }],
  });
  expect(await service.endpoint(delivery.endpoint_id)).toMatchObject({ state: "enabled", paused_until: null, backlog: 1 });
  expect(await sendsAtOnce(service, receiver.url())).toBe(true);
  await service.leap(5000);
  expect(await service.delivery(delivery.id)).toMatchObject({ status: "delivered", attempt_count: 2 });
});

/** A receiver that answers these bytes, one character a byte, and ends the connection. */
function answering(raw: string) {
  return startReceiver({ answer: ({ socket }) => socket.end(Buffer.from(raw, "latin1")) });
}

describe("a malformed answer", () => {
  test("whose status is 200 is delivered", async () => {
    const service = await ServiceWorld.start();
    const receiver = await answering(
      "HTTP/1.1 100 Continue\nx y: z\n\nHTTP/1.1 200\nx\u0000y: z\ntransfer-encoding: chunked\n\n2 \nok\n0\nz\n\n",
    );
    const delivery = await service.firstAttempt(receiver.url);
    expect(delivery).toMatchObject({ status: "delivered", attempts: [{ status_code: 200, response_excerpt: "ok" }] });
  });

  test.each(["x y: z\r\ntransfer-encoding: chunked", "content-length: 2, x"])(
    "whose status is 410 disables the endpoint: %j",
    async (fields) => {
      const service = await ServiceWorld.start();
      const receiver = await answering(`HTTP/1.1 410 Gone\r\n${fields}\r\n\r\nnot chunked`);
      const delivery = await service.firstAttempt(receiver.url);
      expect(delivery).toMatchObject({ status: "failed", attempts: [{ status_code: 410, error: { code: "gone" }, decision: "gone" }] });
      expect(await service.endpoint(delivery.endpoint_id)).toMatchObject({ state: "disabled", reason: "gone" });
    },
  );

  test("whose status is 429 pauses the endpoint for its Retry-After", async () => {
    const service = await ServiceWorld.start();
    const receiver = await answering("HTTP/1.1 429 X\r\nRetry-After : 90\r\ncontent-length: 99\r\n\r\nhalf");
    const delivery = await service.firstAttempt(receiver.url);
    expect(delivery).toMatchObject({ status: "pending", next_attempt_at: at(90_000), attempts: [{ decision: "deferred" }] });
  });
});

describe("no complete answer", () => {
  test.each<[animal: keyof typeof zoo, code: string, statusCode: number | null]>([
    ["silent", "timeout", null],
    ["drippingBody", "timeout", 200],
    ["brokenBody", "reset", 200],
    ["garbage", "protocol", null],
  ])("%s: %s, retried on the schedule", async (animal, code, statusCode) => {
    const service = await ServiceWorld.start({ DELIVERY_TIMEOUT_MS: "300" });
    const receiver = await startReceiver(zoo[animal]);
    const delivery = await service.firstAttempt(receiver.url);
    expect(delivery).toMatchObject({
      status: "pending",
      next_attempt_at: at(5000),
      attempts: [{ status_code: statusCode, error: { code }, response_excerpt: null, decision: "retry" }],
    });
    expect(await service.endpoint(delivery.endpoint_id)).toMatchObject({ state: "enabled", paused_until: null });
    await receiver.released();
    await service.leap(5000);
    expect(await service.delivery(delivery.id)).toMatchObject({ status: "pending", attempt_count: 2 });
  });

  test("a port without a listener: connect", async () => {
    const service = await ServiceWorld.start();
    // Port 1 of loopback: no test listens there.
    const delivery = await service.firstAttempt("http://127.0.0.1:1/hook");
    expect(delivery.attempts).toMatchObject([{ status_code: null, error: { code: "connect" }, decision: "retry" }]);
  });

  test("an untrusted certificate: tls", async () => {
    const service = await ServiceWorld.start();
    const receiver = await startReceiver({ ...zoo.wellBehaved, tls: selfSigned("crm.example.com") });
    const delivery = await service.firstAttempt(`https://127.0.0.1:${receiver.port}/hook`);
    expect(delivery.attempts).toMatchObject([{ error: { code: "tls" }, decision: "retry" }]);
    expect(receiver.requests).toEqual([]);
  });

  test("a name that does not resolve: dns", async () => {
    const server = await startNameServer(() => null);
    const service = await ServiceWorld.start({ DNS_SERVERS: server.address });
    const delivery = await service.firstAttempt("https://crm.example.com/hook");
    expect(delivery).toMatchObject({ status: "pending", next_attempt_at: at(5000) });
    expect(delivery.attempts).toMatchObject([{ error: { code: "dns" }, decision: "retry" }]);
  });
});

describe("an address the guard refuses", () => {
  test("written as it is: failed for good, and nothing is connected", async () => {
    // Allowed when it was registered, and not any more.
    const folder = await mkdtemp(join(tmpdir(), "ringback-zoo-"));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const database = { DATABASE_URL: `sqlite:${join(folder, "ringback.db")}` };
    const receiver = await startReceiver({ answer: ({ socket }) => socket.end("HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n") });
    const before = await ServiceWorld.start(database);
    const { id } = await before.firstAttempt(receiver.url);
    await before.stop();
    const service = await ServiceWorld.start({ ...database, CALLBACK_ALLOW: "" });
    await service.leap(5000);
    expect(await service.delivery(id)).toMatchObject({
      status: "failed",
      next_attempt_at: null,
      attempts: [{ decision: "retry" }, { status_code: null, error: { code: "blocked_address" }, decision: "failed" }],
    });
    expect(receiver.connectionCount()).toBe(1);
  });

  test("by a name: a failed attempt, retried, and nothing is connected", async () => {
    const receiver = await startReceiver(zoo.wellBehaved);
    // The name does not resolve at the registration; later it points at this machine.
    const server = await startNameServer((_name, questionNumber) => (questionNumber === 1 ? null : ["127.0.0.1"]));
    const service = await ServiceWorld.start({ DNS_SERVERS: server.address, CALLBACK_ALLOW: "", CALLBACK_PORTS: String(receiver.port) });
    const delivery = await service.firstAttempt(`http://crm.example.com:${receiver.port}/hook`);
    expect(delivery).toMatchObject({ status: "pending", next_attempt_at: at(5000) });
    expect(delivery.attempts).toMatchObject([{ status_code: null, error: { code: "blocked_address" }, decision: "retry" }]);
    await service.leap(5000);
    expect(await service.delivery(delivery.id)).toMatchObject({ attempt_count: 2, attempts: [{}, { error: { code: "blocked_address" } }] });
    expect(receiver.connectionCount()).toBe(0);
  });
});

describe("a connection that is used again and reset before the first byte of an answer", () => {
  test("is followed at once by a fresh one, without spending a step", async () => {
    const service = await ServiceWorld.start();
    const receiver = await startReceiver({
      answer: ({ socket, number }) =>
        number === 1 ? socket.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n") : socket.resetAndDestroy(),
    });
    expect(await service.firstAttempt(receiver.url)).toMatchObject({ status: "delivered" });
    expect(await service.firstAttempt(receiver.url)).toMatchObject({ status: "delivered", attempt_count: 1 });
    expect(receiver.requests.map(({ connection }) => connection)).toEqual([1, 1, 2]);
  });
});

describe("Retry-After", () => {
  const inTwoMinutes = new Date(startMs + 120_000).toUTCString();
  test.each([
    ["30", 30_000],
    ["soon", 5000],
    [inTwoMinutes, 120_000],
  ])("%j pauses for %i ms, and jitter never makes that shorter", async (value, pauseMs) => {
    const service = await ServiceWorld.start({}, { random: () => 0 });
    const receiver = await service.receive(({ number }) => (number === 1 ? { status: 429, headers: { "retry-after": value } } : 200));
    const delivery = await service.firstAttempt(receiver.url());
    expect(delivery.next_attempt_at).toBe(at(pauseMs));
    await service.leap(pauseMs - 1);
    expect((await service.delivery(delivery.id)).attempt_count).toBe(1);
    await service.leap(1);
    expect(await service.delivery(delivery.id)).toMatchObject({ status: "delivered", attempt_count: 2 });
  });

  test("of the first of several is what counts", async () => {
    const service = await ServiceWorld.start();
    const receiver = await startReceiver(zoo.busy);
    expect((await service.firstAttempt(receiver.url)).next_attempt_at).toBe(at(17_000));
  });

  test("on a failed attempt is a floor below which neither step nor jitter goes", async () => {
    const service = await ServiceWorld.start({}, { random: () => 1 });
    const receiver = await service.receive(() => ({ status: 504, headers: { "retry-after": "3" } }));
    // 5 s and 20 % are later than 3 s.
    expect((await service.firstAttempt(receiver.url())).next_attempt_at).toBe(at(6000));
    const slower = await service.receive(() => ({ status: 504, headers: { "retry-after": "7" } }));
    expect((await service.firstAttempt(slower.url())).next_attempt_at).toBe(at(7000));
  });
});

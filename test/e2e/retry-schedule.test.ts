import { describe, expect, test } from "vitest";
import { ServiceWorld } from "../harness/service/service-world.ts";
import type { ShownDelivery } from "../harness/service/service-world.ts";
import { day, hour, minute, second, startMs } from "../harness/store-drafts.ts";

const defaultScheduleMs = [0, 5 * second, 5 * minute, 30 * minute, 2 * hour, 5 * hour, 10 * hour, 14 * hour, 20 * hour, 24 * hour];
const at = (ms: number) => new Date(startMs + ms).toISOString();
const decisionsOf = ({ attempts }: ShownDelivery) => attempts.map(({ decision }) => decision);

const busy = (seconds: number) => ({ status: 429, headers: { "retry-after": String(seconds) } });

async function retry(service: ServiceWorld, deliveryId: string): Promise<number> {
  const { status } = await service.client.post(`/v1/deliveries/${deliveryId}/retry`);
  await service.quiet();
  // One a second and endpoint.
  await service.clock.advance(second);
  return status;
}

async function testEndpoint(service: ServiceWorld, endpointId: string) {
  const answer = await service.client.post(`/v1/endpoints/${endpointId}/test`);
  await service.clock.advance(second);
  return answer;
}

async function recover(service: ServiceWorld, endpointId: string) {
  const answer = await service.client.post(`/v1/endpoints/${endpointId}/recover`, { since: at(-day) });
  await service.quiet();
  return answer;
}

async function span(service: ServiceWorld, endpointId: string, since: string, until?: string) {
  return (await service.client.post(`/v1/endpoints/${endpointId}/recover`, until === undefined ? { since } : { since, until })).body;
}

describe("the default schedule", () => {
  test.each([0, 0.5, 1])(
    "is ten attempts in about 75 h, each delay longer by %d of 20 % and never shorter, then exhausted",
    async (jitter) => {
      const service = await ServiceWorld.start({}, { random: () => jitter });
      const receiver = await service.receive(() => 500);
      const { id } = await service.firstAttempt(receiver.url());
      let atMs = 0;
      for (const [step, stepMs] of defaultScheduleMs.entries()) {
        if (step === 0) continue;
        const delayMs = Math.round(stepMs * (1 + 0.2 * jitter));
        expect((await service.delivery(id)).next_attempt_at).toBe(at(atMs + delayMs));
        await service.leap(delayMs - 1);
        expect(receiver.received).toHaveLength(step);
        await service.leap(1);
        expect(receiver.received).toHaveLength(step + 1);
        atMs += delayMs;
      }
      expect(atMs / hour).toBeGreaterThan(75);
      expect(atMs / hour).toBeLessThan(76 * 1.2);
      const exhausted = await service.delivery(id);
      expect(exhausted).toMatchObject({ status: "exhausted", attempt_count: 10, next_attempt_at: null, settled_at: at(atMs) });
      expect(decisionsOf(exhausted)).toEqual([...Array<string>(9).fill("retry"), "exhausted"]);
      await service.leap(30 * hour);
      expect(receiver.received).toHaveLength(10);

      // The id is the event's on every attempt, the time is the attempt's, and with the time the signature changes.
      const headers = receiver.received.map((callback) => callback.headers);
      expect(new Set(headers.map((header) => header["webhook-id"]))).toEqual(new Set([exhausted.event_id]));
      const timestamps = headers.map((header) => Number(header["webhook-timestamp"]) * 1000);
      expect(timestamps).toEqual(exhausted.attempts.map(({ started_at }) => Math.floor(Date.parse(started_at) / 1000) * 1000));
      expect(new Set(headers.map((header) => header["webhook-signature"])).size).toBe(10);
      expect(new Set(receiver.received.map(({ body }) => body)).size).toBe(1);
    },
  );

  test("an exhausted delivery is kept, and can be retried and recovered", async () => {
    const service = await ServiceWorld.start({ RETRY_SCHEDULE: "0s,1s" });
    let status = 500;
    const receiver = await service.receive(() => status);
    const first = await service.firstAttempt(receiver.url());
    const other = await service.firstAttempt(receiver.url());
    await service.leap(second);
    expect((await service.deliveriesOf("status=exhausted")).map(({ id }) => id)).toEqual([first.id, other.id]);
    status = 200;
    expect(await retry(service, first.id)).toBe(202);
    expect(await service.delivery(first.id)).toMatchObject({ status: "delivered", attempt_count: 3 });
    expect((await recover(service, first.endpoint_id)).body).toEqual({ recovered: 1, hurried: 0, more: false });
    expect(await service.delivery(other.id)).toMatchObject({ status: "delivered", attempt_count: 3 });
  });
});

describe("deferrals and the schedule's span", () => {
  const schedule = { RETRY_SCHEDULE: "0s,10s,20s" };
  test("spend no step, and one later than the sum of the delays after the first attempt exhausts", async () => {
    const service = await ServiceWorld.start(schedule);
    const receiver = await service.receive(() => busy(10));
    const { id } = await service.firstAttempt(receiver.url());
    for (let n = 0; n < 4; n++) await service.leap(10 * second);
    const shown = await service.delivery(id);
    // The attempts at 0, 10 and 20 s are within 30 s. The third pause is 20 s, because pauses double regardless of Retry-After.
    expect(decisionsOf(shown)).toEqual(["deferred", "deferred", "deferred", "exhausted"]);
    expect(shown).toMatchObject({ status: "exhausted", settled_at: at(40 * second) });
  });

  test("a pause that ends later than that is still followed by one attempt", async () => {
    const service = await ServiceWorld.start(schedule);
    const receiver = await service.receive(({ number }) => (number < 3 ? busy(hour / second) : 200));
    const { id } = await service.firstAttempt(receiver.url());
    await service.leap(hour);
    const late = await service.delivery(id);
    expect(late).toMatchObject({ status: "exhausted", attempt_count: 2 });
    expect(decisionsOf(late)).toEqual(["deferred", "exhausted"]);
    // Recovery starts a new span.
    await service.leap(hour);
    expect((await recover(service, late.endpoint_id)).body).toEqual({ recovered: 1, hurried: 0, more: false });
    expect(await service.delivery(id)).toMatchObject({ status: "delivered", attempt_count: 3 });
  });
});

describe("an endpoint with nothing but failures", () => {
  // Ten attempts of one delivery, an hour apart.
  const environment = {
    RETRY_SCHEDULE: ["0s", ...Array<string>(19).fill("1h")].join(","),
    ENDPOINT_DISABLE_AFTER_MS: String(9 * hour),
  };

  test("is disabled when at least ten of them span the time; its pending webhooks are sent in order when it is enabled", async () => {
    const service = await ServiceWorld.start(environment);
    let status = 500;
    const receiver = await service.receive(() => status);
    const { id } = await service.watch(receiver.url(), { events: null });
    await service.pass(13 * second);
    const [first] = await service.deliveriesOf(`watch_id=${String(id)}`);
    const endpointId = first?.endpoint_id ?? "";
    for (let n = 1; n < 9; n++) await service.leap(hour);
    expect(await service.endpoint(endpointId)).toMatchObject({ state: "enabled" });
    await service.leap(hour);
    expect(await service.endpoint(endpointId)).toMatchObject({ state: "disabled", reason: "failing", backlog: 3 });
    const sent = receiver.received.length;
    await service.leap(5 * day);
    expect(receiver.received).toHaveLength(sent);
    expect((await service.deliveriesOf(`watch_id=${String(id)}`)).map((shown) => shown.status)).toEqual(Array(3).fill("pending"));

    status = 200;
    expect((await service.client.patch(`/v1/endpoints/${endpointId}`, { state: "enabled" })).status).toBe(200);
    await service.quiet();
    expect(receiver.received.slice(sent).map(({ body }) => (JSON.parse(body) as { type: string }).type)).toEqual([
      "call.queued",
      "call.calling",
      "call.success",
    ]);
    expect(await service.endpoint(endpointId)).toMatchObject({ state: "enabled", reason: null, since: null, backlog: 0 });
  });

  test.each([
    ["a watch", (service: ServiceWorld, url: string) => service.watch(url, { signing_secret: undefined, events: ["call.success"] })],
    ["a hook", (service: ServiceWorld, url: string) => service.client.post("/v1/hooks", { url, events: ["watch.lost"] })],
  ])("is enabled by %s that names it again, and its pending webhooks start a new schedule", async (_, name) => {
    const service = await ServiceWorld.start(environment);
    const receiver = await service.receive(({ number }) => (number <= 11 ? 500 : 200));
    const { id, endpoint_id } = await service.firstAttempt(receiver.url());
    for (let n = 0; n < 9; n++) await service.leap(hour);
    expect(await service.endpoint(endpoint_id)).toMatchObject({ state: "disabled", reason: "failing" });
    await name(service, receiver.url());
    expect(await service.endpoint(endpoint_id)).toMatchObject({ state: "enabled", reason: null });
    await service.pass(second);
    expect(await service.delivery(id)).toMatchObject({ status: "pending", attempt_count: 11 });
    expect(await service.endpoint(endpoint_id)).toMatchObject({ state: "enabled" });
    await service.leap(hour);
    expect(await service.delivery(id)).toMatchObject({ status: "delivered", attempt_count: 12 });
  });

  test("stays enabled with a success among them, and deferrals are no failures", async () => {
    const service = await ServiceWorld.start(environment);
    const receiver = await service.receive(({ number }) => {
      if (number === 5) return 200;
      return number > 8 && number < 30 ? { status: 429, headers: { "retry-after": "3600" } } : 500;
    });
    const failing = await service.firstAttempt(receiver.url());
    for (let n = 1; n < 4; n++) await service.leap(hour);
    await service.firstAttempt(receiver.url());
    for (let n = 0; n < 12; n++) await service.leap(hour);
    expect(receiver.received.length).toBeGreaterThan(12);
    expect(await service.endpoint(failing.endpoint_id)).toMatchObject({ state: "paused", reason: "rate_limited" });
  });
});

test("a delivery pending at a disabled endpoint expires after the retention time, and recovery requeues it", async () => {
  const service = await ServiceWorld.start({ RETENTION_DAYS: "1" });
  const receiver = await service.receive();
  const { endpoint_id: endpointId, id: watchId } = await service.watch(receiver.url(), { events: ["call.calling"], scenario: "slow" });
  expect((await service.client.patch(`/v1/endpoints/${String(endpointId)}`, { state: "disabled" })).body).toMatchObject({
    state: "disabled",
    reason: "client",
  });
  await service.pass(8 * second);
  const { id } = await service.deliveryOf(String(watchId));
  await service.leap(day - 10 * second);
  expect((await service.delivery(id)).status).toBe("pending");
  await service.pass(20 * second);
  expect(await service.delivery(id)).toMatchObject({ status: "expired", attempt_count: 0, next_attempt_at: null });
  expect((await recover(service, String(endpointId))).status).toBe(409);
  await service.client.patch(`/v1/endpoints/${String(endpointId)}`, { state: "enabled" });
  await service.quiet();
  expect(receiver.received).toEqual([]);
  expect((await recover(service, String(endpointId))).body).toEqual({ recovered: 1, hurried: 0, more: false });
  expect((await service.delivery(id)).status).toBe("delivered");
});

describe("recover", () => {
  test("requeues each exhausted delivery once, and none that is pending, delivered or on the wire", async () => {
    const service = await ServiceWorld.start({ RETRY_SCHEDULE: "0s" });
    const held = Promise.withResolvers<void>();
    const receiver = await service.receive(async ({ number }) => {
      if (number <= 2) return 500;
      await held.promise;
      return 200;
    });
    const exhausted = await service.firstAttempt(receiver.url());
    const other = await service.firstAttempt(receiver.url());
    expect([exhausted.status, other.status]).toEqual(["exhausted", "exhausted"]);
    // One of them has a manual attempt on the wire, a third is new and waits for its turn.
    expect((await service.client.post(`/v1/deliveries/${other.id}/retry`)).status).toBe(202);
    await receiver.arrived(3);
    await service.watch(receiver.url());
    expect((await recover(service, exhausted.endpoint_id)).body).toEqual({ recovered: 1, hurried: 0, more: false });
    expect((await recover(service, exhausted.endpoint_id)).body).toEqual({ recovered: 0, hurried: 0, more: false });
    expect(receiver.unanswered).toBe(1);
    held.resolve();
    await service.attempted(5);
    await service.quiet();
    expect((await service.deliveriesOf("")).map(({ status, attempt_count }) => [status, attempt_count])).toEqual([
      ["delivered", 2],
      ["delivered", 2],
      ["delivered", 1],
    ]);
    await service.leap(hour);
    expect(receiver.received).toHaveLength(5);
  });

  test("makes those of the span due that wait for their schedule, which they keep", async () => {
    const service = await ServiceWorld.start({ RETRY_SCHEDULE: "0s,1h,2h,3h" });
    const receiver = await service.receive(() => 500);
    const early = await service.firstAttempt(receiver.url());
    await service.leap(minute);
    const late = await service.firstAttempt(receiver.url());
    expect(await span(service, early.endpoint_id, at(30 * second))).toEqual({ recovered: 0, hurried: 1, more: false });
    await service.attempted(3);
    await service.quiet();
    expect(receiver.received).toHaveLength(3);
    // The failure spent the step of an hour, so the next one is two hours.
    expect(await service.delivery(late.id)).toMatchObject({ status: "pending", attempt_count: 2, next_attempt_at: at(minute + 2 * hour) });
    expect(await service.delivery(early.id)).toMatchObject({ attempt_count: 1, next_attempt_at: at(hour) });
  });

  test("leaves the pause of an endpoint as it is", async () => {
    const service = await ServiceWorld.start();
    const receiver = await service.receive(({ number }) => (number === 1 ? busy(60) : 200));
    const { id, endpoint_id: endpointId } = await service.firstAttempt(receiver.url());
    expect(await span(service, endpointId, at(0))).toEqual({ recovered: 0, hurried: 1, more: false });
    await service.leap(minute - 1);
    expect(receiver.received).toHaveLength(1);
    await service.leap(1);
    expect(await service.delivery(id)).toMatchObject({ status: "delivered", attempt_count: 2 });
  });

  test("uses the given span, and finds no unknown endpoint", async () => {
    const service = await ServiceWorld.start({ RETRY_SCHEDULE: "0s" });
    const receiver = await service.receive(() => 500);
    const { endpoint_id } = await service.firstAttempt(receiver.url());
    expect(await span(service, endpoint_id, at(1))).toMatchObject({ status: 422 });
    await service.clock.advance(minute);
    expect(await span(service, endpoint_id, at(1))).toEqual({ recovered: 0, hurried: 0, more: false });
    expect(await span(service, endpoint_id, at(-minute), at(-1))).toEqual({ recovered: 0, hurried: 0, more: false });
    expect(await span(service, endpoint_id, at(0), at(0))).toEqual({ recovered: 1, hurried: 0, more: false });
    expect((await service.client.post("/v1/endpoints/ep_unknown/recover", { since: at(0) })).status).toBe(404);
  });
});

describe("a manual retry", () => {
  test("goes ahead of the schedule; failure leaves that as it was, success settles", async () => {
    const service = await ServiceWorld.start();
    const receiver = await service.receive(({ number }) => (number === 3 ? 200 : 500));
    const first = await service.firstAttempt(receiver.url());
    expect(first.next_attempt_at).toBe(at(5 * second));
    expect(await retry(service, first.id)).toBe(202);
    const failed = await service.delivery(first.id);
    expect(failed).toMatchObject({ status: "pending", attempt_count: 2, next_attempt_at: at(5 * second) });
    expect(decisionsOf(failed)).toEqual(["retry", "retry"]);
    expect(await retry(service, first.id)).toBe(202);
    expect(await service.delivery(first.id)).toMatchObject({ status: "delivered", attempt_count: 3, next_attempt_at: null });
    await service.leap(hour);
    expect(receiver.received).toHaveLength(3);
  });

  test("goes ahead of a pause, and of the events before it", async () => {
    const service = await ServiceWorld.start();
    const receiver = await service.receive(({ number }) => (number === 1 ? busy(60) : 200));
    const { id } = await service.watch(receiver.url(), { events: null, scenario: "success" });
    await service.pass(4 * second);
    const [queued, calling] = await service.deliveriesOf(`watch_id=${String(id)}`);
    expect([queued?.next_attempt_at, calling?.attempt_count]).toEqual([at(60 * second), 0]);
    expect(await retry(service, calling?.id ?? "")).toBe(202);
    expect(await service.delivery(calling?.id ?? "")).toMatchObject({ status: "delivered", attempt_count: 1 });
    expect(await service.delivery(queued?.id ?? "")).toMatchObject({ status: "pending", next_attempt_at: at(60 * second) });
  });

  test("of what was delivered is sent again and changes nothing", async () => {
    const service = await ServiceWorld.start();
    const receiver = await service.receive();
    const delivered = await service.firstAttempt(receiver.url());
    expect(await retry(service, delivered.id)).toBe(202);
    expect(await service.delivery(delivered.id)).toMatchObject({ status: "delivered", attempt_count: 2, settled_at: delivered.settled_at });
  });
});

describe("a test", () => {
  const environment = { RETRY_SCHEDULE: "0s,1h,1h,1h,1h,1h,1h,1h,1h,1h,1h,1h", ENDPOINT_DISABLE_AFTER_MS: "0" };
  test("is answered with its attempt, once, and never counts for or against disabling", async () => {
    const service = await ServiceWorld.start(environment);
    let status = 500;
    const receiver = await service.receive(({ body }) => (body.includes("endpoint.test") ? status : 500));
    const pending = await service.firstAttempt(receiver.url());
    for (let n = 0; n < 20; n++)
      expect((await testEndpoint(service, pending.endpoint_id)).body).toMatchObject({
        number: 1,
        status_code: 500,
        error: { code: "status" },
        decision: "failed",
      });
    expect(await service.endpoint(pending.endpoint_id)).toMatchObject({ state: "enabled" });
    status = 410;
    expect((await testEndpoint(service, pending.endpoint_id)).body).toMatchObject({ status_code: 410, decision: "failed" });
    expect(await service.endpoint(pending.endpoint_id)).toMatchObject({ state: "enabled", last_success_at: null });
    // A test that succeeds ends no run of failures either: it brings the ninth attempt forward, and the tenth disables.
    for (let n = 0; n < 7; n++) await service.leap(hour);
    status = 200;
    expect((await testEndpoint(service, pending.endpoint_id)).body).toMatchObject({ status_code: 200, decision: "delivered" });
    await receiver.arrived(31);
    expect(await service.endpoint(pending.endpoint_id)).toMatchObject({ state: "enabled" });
    await service.leap(hour);
    expect(await service.endpoint(pending.endpoint_id)).toMatchObject({ state: "disabled", reason: "failing" });
    expect((await testEndpoint(service, pending.endpoint_id)).status).toBe(409);
    // Each was one attempt of a delivery of its own, with nothing after it.
    const tests = (await service.deliveriesOf("")).filter(({ event_type }) => event_type === "endpoint.test");
    expect(tests).toHaveLength(22);
    expect(tests.every(({ status: shown, attempt_count }) => ["failed", "delivered"].includes(shown) && attempt_count === 1)).toBe(true);
  });
});

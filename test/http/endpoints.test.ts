import { describe, expect, test } from "vitest";
import type { EndpointChange } from "../../src/ports/use-cases/endpoint-settings.ts";
import type { ManualRefusal } from "../../src/ports/use-cases/manual-delivery.ts";
import { healthy, startMs } from "../harness/deliveries.ts";
import { createTestApi } from "./test-api.ts";
import { faultsOf, problemOf } from "../harness/service/client.ts";
import { deliveryView, endpointView } from "./views.ts";

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

const stateOf = async (view: ReturnType<typeof endpointView>) => {
  const { send } = createTestApi({ store: { getEndpoint: async () => view } });
  const { state, reason, since, paused_until } = (await send("GET", "/v1/endpoints/ep_1")).body as Record<string, unknown>;
  return [state, reason, since, paused_until];
};
const at = (ms: number) => new Date(startMs + ms).toISOString();
const pausedTo = (pausedUntilMs: number) => ({
  ...healthy,
  pausedUntilMs,
  pausedSinceMs: startMs - 5000,
  pauseReason: "rate_limited" as const,
});
const hostPausedTo = (hostPausedUntilMs: number) => ({ hostPausedUntilMs, hostPausedSinceMs: startMs - 9000 });

describe("an endpoint's state", () => {
  test.each([
    ["nothing is wrong", endpointView(), ["enabled", null, null, null]],
    ["its own pause runs", endpointView({ health: pausedTo(startMs + 1) }), ["paused", "rate_limited", at(-5000), at(1)]],
    ["its own pause is over", endpointView({ health: pausedTo(startMs) }), ["enabled", null, null, null]],
    ["its host's pause runs", endpointView({}, hostPausedTo(startMs + 5)), ["paused", "host", at(-9000), at(5)]],
    [
      "its own is over, its host's runs",
      endpointView({ health: pausedTo(startMs) }, hostPausedTo(startMs + 5)),
      ["paused", "host", at(-9000), at(5)],
    ],
    [
      "both run, its host's longer",
      endpointView({ health: pausedTo(startMs + 1) }, hostPausedTo(startMs + 5)),
      ["paused", "rate_limited", at(-5000), at(5)],
    ],
    ["its owner paused it", endpointView({ state: "paused", reason: "client", sinceMs: startMs }), ["paused", "client", at(0), null]],
    [
      "it is disabled while a pause runs",
      endpointView({ state: "disabled", reason: "gone", sinceMs: startMs, health: pausedTo(startMs + 1) }),
      ["disabled", "gone", at(0), null],
    ],
  ])("%s", async (_name, view, state) => {
    expect(await stateOf(view)).toEqual(state);
  });

  test("the part of its attempts that were answered 2xx", async () => {
    const asked: unknown[] = [];
    const { send } = createTestApi({
      store: {
        countAttempts: async (query) => {
          asked.push(query);
          return [{ endpointId: "ep_1", hour: { succeeded: 0, failed: 0 }, day: { succeeded: 3, failed: 1 } }];
        },
      },
    });
    const rate = { success_rate: { "1h": null, "24h": 0.75 } };
    expect((await send("GET", "/v1/endpoints/ep_1")).body).toMatchObject(rate);
    expect((await send("PATCH", "/v1/endpoints/ep_1", { late: "send" })).body).toMatchObject(rate);
    expect((await send("GET", "/v1/endpoints")).body).toMatchObject({ data: [rate] });
    expect(asked).toEqual(Array.from({ length: 3 }, () => ({ accountId: "acc_1", endpointIds: ["ep_1"], nowMs: startMs })));
  });

  test("all keys are there and no secret", async () => {
    const { send } = createTestApi();
    expect((await send("GET", "/v1/endpoints/ep_1")).body).toEqual({
      id: "ep_1",
      url: "https://crm.example.com/hooks/calls",
      format: "standard",
      request: null,
      headers: ["x-api-key"],
      signatures: ["v1"],
      late: "send",
      max_in_flight: 32,
      max_per_second: null,
      state: "enabled",
      reason: null,
      since: null,
      paused_until: null,
      last_success_at: null,
      success_rate: { "1h": null, "24h": null },
      backlog: 0,
      oldest_due_at: null,
      hooks: [],
      explain: "no delivery is pending",
      created_at: "2026-11-24T12:00:00.000Z",
    });
  });
});

test("its own limit in flight is shown where it has one", async () => {
  const { send } = createTestApi({ store: { getEndpoint: async () => endpointView({ maxInFlight: 7 }) } });
  expect((await send("GET", "/v1/endpoints/ep_1")).body).toMatchObject({ max_in_flight: 7 });
});

describe("PATCH /v1/endpoints/{id}", () => {
  test.each<[object, EndpointChange]>([
    [{}, {}],
    [
      { format: "form", late: "drop", state: "paused" },
      { format: "form", late: "drop", state: "paused" },
    ],
    [{ headers: {} }, { headers: {} }],
    [{ format: "slack" }, { format: "slack" }],
    [
      { request: { method: "PUT", body: { a: "{{type}}" } } },
      { format: "template", request: '{"method":"PUT","content_type":"application/json","body":{"a":"{{type}}"}}' },
    ],
    [
      { format: "template", request: { method: "PATCH", content_type: "text/plain", body: "{{type}}" } },
      { format: "template", request: '{"method":"PATCH","content_type":"text/plain","body":"{{type}}"}' },
    ],
    [
      { max_in_flight: 1000, max_per_second: 0.1 },
      { maxInFlight: 1000, maxPerSecond: 0.1 },
    ],
    [
      { max_per_second: null, signatures: ["v1", "v1a"] },
      { maxPerSecond: null, signatures: ["v1", "v1a"] },
    ],
  ])("%j is a change", async (body, change) => {
    const changes: EndpointChange[] = [];
    const { send } = createTestApi({
      endpointSettings: {
        patch: async (_account, _id, given) => {
          changes.push(given);
          return endpointView();
        },
      },
    });
    expect((await send("PATCH", "/v1/endpoints/ep_1", body)).status).toBe(200);
    expect(changes).toEqual([change]);
  });

  test.each<[object, readonly string[]]>([
    [{ max_in_flight: 0 }, ["/max_in_flight"]],
    [{ max_in_flight: 1001 }, ["/max_in_flight"]],
    [{ max_in_flight: 1.5 }, ["/max_in_flight"]],
    [{ max_per_second: 0 }, ["/max_per_second"]],
    [{ max_per_second: 10_001 }, ["/max_per_second"]],
    [{ max_per_second: "5" }, ["/max_per_second"]],
    [{ signatures: [] }, ["/signatures"]],
    [{ signatures: ["v1a"] }, ["/signatures"]],
    [{ signatures: ["v2"] }, ["/signatures/0"]],
    [{ format: "template" }, ["/request"]],
    [{ format: "teams", request: { method: "POST", body: 1 } }, ["/request"]],
    [{ request: null }, ["/request"]],
    [{ request: { method: "POST", body: { a: "{{ type }}" } } }, ["/request/body/a"]],
    [{ late: "never" }, ["/late"]],
    [{ state: "gone" }, ["/state"]],
    [{ headers: { "content-type": "text/plain" } }, ["/headers/content-type"]],
    [{ url: "https://other.example/" }, ["/url"]],
    [{ signing_secret: secret }, ["/signing_secret"]],
  ])("%j is 422", async (body, pointers) => {
    const { send } = createTestApi();
    const response = await send("PATCH", "/v1/endpoints/ep_1", body);
    expect(response.status).toBe(422);
    expect(faultsOf(response)).toEqual(pointers);
  });

  test("of an unknown one is 404", async () => {
    const { send } = createTestApi();
    expect((await send("PATCH", "/v1/endpoints/ep_2", {})).status).toBe(404);
  });

  test("infinity is no rate", async () => {
    const { send } = createTestApi();
    expect(faultsOf(await send("PATCH", "/v1/endpoints/ep_1", '{"max_per_second":1e400}'))).toEqual(["/max_per_second"]);
  });
});

describe("POST …/rotate-secret", () => {
  test.each([
    [undefined, { graceSeconds: 86_400, signingSecret: null }],
    [{}, { graceSeconds: 86_400, signingSecret: null }],
    [
      { grace_seconds: 0, signing_secret: secret },
      { graceSeconds: 0, signingSecret: secret },
    ],
    [{ grace_seconds: 604_800 }, { graceSeconds: 604_800, signingSecret: null }],
  ])("%j", async (body, request) => {
    const asked: object[] = [];
    const { send } = createTestApi({
      endpointSettings: {
        rotateSecret: async (_account, _id, given) => {
          asked.push(given);
          return { kind: "rotated", signingSecret: secret, previousValidUntilMs: startMs + 86_400_000 };
        },
      },
    });
    const response = await send("POST", "/v1/endpoints/ep_1/rotate-secret", body);
    expect(response.status).toBe(200);
    expect(response.body).toEqual({ signing_secret: secret, previous_valid_until: "2026-11-25T12:00:00.000Z" });
    expect(asked).toEqual([request]);
  });

  test.each([
    [{ grace_seconds: -1 }, "/grace_seconds"],
    [{ grace_seconds: 604_801 }, "/grace_seconds"],
    [{ grace_seconds: "60" }, "/grace_seconds"],
    [{ signing_secret: "hunter2" }, "/signing_secret"],
    [{ grace: 5 }, "/grace"],
  ])("%j is 422", async (body, pointer) => {
    const { send } = createTestApi();
    expect(faultsOf(await send("POST", "/v1/endpoints/ep_1/rotate-secret", body))).toEqual([pointer]);
  });
});

describe("manual attempts", () => {
  const both = ["retry", "test"] as const;
  test.each<[ManualRefusal, number, string, readonly ("retry" | "test")[]]>([
    [{ kind: "unknown" }, 404, "not-found", both],
    [{ kind: "endpoint_disabled" }, 409, "endpoint-disabled", both],
    [{ kind: "watch_deleted" }, 409, "watch-deleted", ["retry"]],
    [{ kind: "in_flight" }, 409, "in-flight", ["retry"]],
    [{ kind: "rate_limited", retryAfterMs: 400 }, 429, "rate-limited", both],
    [{ kind: "interrupted" }, 503, "interrupted", ["test"]],
  ])("%o is %i", async (refusal, status, slug, methods) => {
    for (const method of methods) {
      const { send } = createTestApi({ manualDelivery: { [method]: async () => refusal } });
      const response = await send("POST", method === "test" ? "/v1/endpoints/ep_1/test" : "/v1/deliveries/dlv_1/retry");
      expect(response.status).toBe(status);
      expect(response.headers["retry-after"]).toBe(status === 429 || status === 503 ? "1" : undefined);
      expect(problemOf(response)).toMatchObject({ type: `urn:ringback:problem:${slug}` });
    }
  });

  test("a retry is 202 with the delivery", async () => {
    const { send } = createTestApi();
    const response = await send("POST", "/v1/deliveries/dlv_1/retry");
    expect(response.status).toBe(202);
    expect(response.body).toEqual({
      id: "dlv_1",
      event_id: "evt_1",
      event_type: "call.failure",
      watch_id: "wch_1",
      call_sid: "OUT-1",
      endpoint_id: "ep_1",
      status: "pending",
      attempt_count: 1,
      next_attempt_at: "2026-11-24T12:00:05.000Z",
      created_at: "2026-11-24T12:00:00.000Z",
      settled_at: null,
      last_attempt: {
        status_code: 500,
        error: { code: "status", detail: "the receiver answered 500" },
        started_at: "2026-11-24T12:00:00.000Z",
      },
      explain: "waits for attempt 2 at 2026-11-24T12:00:05.000Z",
    });
  });

  test("a test is 200 with the attempt", async () => {
    const { send } = createTestApi();
    const response = await send("POST", "/v1/endpoints/ep_1/test");
    expect(response.status).toBe(200);
    expect(response.body).toEqual({
      number: 1,
      started_at: "2026-11-24T12:00:00.000Z",
      duration_ms: 48,
      status_code: 500,
      error: { code: "status", detail: "the receiver answered 500" },
      response_excerpt: "oops",
      decision: "retry",
    });
  });

  test("a delivery asked for alone has its attempts", async () => {
    const { send } = createTestApi();
    expect((await send("GET", "/v1/deliveries/dlv_1")).body).toMatchObject({ id: "dlv_1", attempts: [{ number: 1 }] });
    const { data } = (await send("GET", "/v1/deliveries")).body as { data: object[] };
    expect(data.map((delivery) => "attempts" in delivery)).toEqual([false]);
  });

  test("deliveries are asked for by endpoint, watch and status", async () => {
    const asked: object[] = [];
    const { send } = createTestApi({
      store: {
        listDeliveries: async (query) => {
          asked.push(query);
          return { data: [deliveryView({ watchId: null, callSid: null })], nextCursor: null };
        },
      },
    });
    await send("GET", "/v1/deliveries?endpoint_id=ep_1&watch_id=wch_1&status=exhausted&limit=200");
    expect(asked).toEqual([{ accountId: "acc_1", limit: 200, cursor: null, endpointId: "ep_1", watchId: "wch_1", status: "exhausted" }]);
  });
});

describe("POST …/recover", () => {
  test.each([
    [{ since: "2026-11-24T11:00:00Z" }, { sinceMs: startMs - 3_600_000, untilMs: startMs }],
    [{ until: "2026-11-24T11:00:00Z" }, { sinceMs: 0, untilMs: startMs - 3_600_000 }],
    [{}, { sinceMs: 0, untilMs: startMs }],
    [undefined, { sinceMs: 0, untilMs: startMs }],
  ])("%j: the span begins with the retention and ends now where it is left open", async (body, span) => {
    const spans: object[] = [];
    const { send } = createTestApi({
      manualDelivery: {
        recover: async (_account, _id, given) => {
          spans.push(given);
          return { kind: "recovered", recovered: 3, hurried: 1, more: false };
        },
      },
    });
    const response = await send("POST", "/v1/endpoints/ep_1/recover", body);
    expect([response.status, response.body]).toEqual([202, { recovered: 3, hurried: 1, more: false }]);
    expect(spans).toEqual([span]);
  });

  test.each([undefined, {}, { until: "2026-11-24T12:00:00Z" }])("%j reaches back to the oldest event that is retained", async (body) => {
    const spans: object[] = [];
    const { send } = createTestApi({
      manualDelivery: {
        recover: async (_account, _id, span) => {
          spans.push(span);
          return { kind: "recovered", recovered: 0, hurried: 0, more: false };
        },
      },
    });
    expect((await send("POST", "/v1/endpoints/ep_1/recover", body)).status).toBe(202);
    expect(spans).toEqual([{ sinceMs: 0, untilMs: startMs }]);
  });

  test.each([
    [{ since: "soon" }, "/since"],
    [{ since: "2026-11-24T12:00:00.001Z" }, "/since"],
    [{ since: null }, "/since"],
    [{ since: "2026-11-24T11:00:00Z", until: "2026-11-24T10:00:00Z" }, "/until"],
    [{ since: "2026-11-24T11:00:00Z", status: "failed" }, "/status"],
  ])("%j is 422", async (body, pointer) => {
    const { send } = createTestApi();
    expect(faultsOf(await send("POST", "/v1/endpoints/ep_1/recover", body))).toEqual([pointer]);
  });

  test("a disabled endpoint is 409", async () => {
    const { send } = createTestApi({ manualDelivery: { recover: async () => ({ kind: "endpoint_disabled" }) } });
    expect((await send("POST", "/v1/endpoints/ep_1/recover", { since: "2026-11-24T11:00:00Z" })).status).toBe(409);
  });
});

describe("the account", () => {
  test("is who the key belongs to, with its limits", async () => {
    const { send } = createTestApi();
    expect((await send("GET", "/v1/me")).body).toEqual({
      id: "acc_1",
      name: "default",
      public_key: "whpk_5vJ3u0o4rJ7hYb6v8Ez1m2cT9qXw0aLk3nPdRfGsHiI=",
      key: { id: "key_1", name: "crm", scopes: ["read", "watch", "place", "endpoints", "admin"], expires_at: null },
      limits: {
        api_max_per_second: 0,
        max_active_watches: 200_000,
        max_watches_per_call: 100,
        max_endpoints: 50_000,
        max_hooks: 100,
        manual_max_in_flight: 0,
        max_waiting_requests: 0,
        max_stored_answers_mib: 0,
      },
      retention_days: 30,
    });
    const half = createTestApi({ retentionDays: 0.5 } as Parameters<typeof createTestApi>[0]);
    expect((await half.send("GET", "/v1/me")).body).toMatchObject({ retention_days: 0.5 });
  });

  test("its default secret is set with 204", async () => {
    const { send } = createTestApi();
    expect((await send("PUT", "/v1/me/signing-secret", { signing_secret: secret })).status).toBe(204);
    expect(faultsOf(await send("PUT", "/v1/me/signing-secret", {}))).toEqual(["/signing_secret"]);
  });

  test("its sources come in pages like everything", async () => {
    const { send } = createTestApi();
    const first = (await send("GET", "/v1/sources?limit=1")).body as { data: object[]; next_cursor: string };
    expect(first.data).toEqual([
      {
        name: "default",
        kind: "polyai-legacy",
        state: "ok",
        reason: null,
        since: null,
        last_good_poll_at: null,
        interval_ms: 2000,
        last_unknown_status: null,
      },
    ]);
    const rest = await send("GET", `/v1/sources?cursor=${first.next_cursor}`);
    expect(rest.body).toMatchObject({ data: [{ name: "sandbox" }], next_cursor: null });
  });
});

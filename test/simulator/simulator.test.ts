import { expect, test } from "vitest";
import { Pool } from "undici";
import { onTestFinished } from "vitest";
import type { Simulator } from "../../src/simulator/simulator.ts";
import { FakeClock } from "../harness/fake-clock.ts";
import { simulatedUpstream } from "../harness/upstream/simulated-upstream.ts";

const legacyPath = (callSid: string) => `/v1/outbound-calling/${callSid}/status`;
const agentsPath = (callSid: string, query = "?environment=live") =>
  `/v1/agents/agent-1/telephony/outbound-calls/${callSid}/status${query}`;

type Reply = { readonly status: number; readonly headers: Record<string, unknown>; readonly body: string; readonly json: unknown };

function client(simulator: Simulator) {
  const pool = new Pool(simulator.url);
  onTestFinished(() => pool.destroy());
  return async (path: string, headers: Record<string, string> = {}, method = "GET", sent?: unknown): Promise<Reply> => {
    const body = sent === undefined ? null : JSON.stringify(sent);
    const answer = await pool.request({ path, method: method as "GET", headers, body });
    const text = await answer.body.text();
    return { status: answer.statusCode, headers: answer.headers, body: text, json: text.startsWith("{") ? JSON.parse(text) : null };
  };
}

async function upstream(options: Parameters<typeof simulatedUpstream>[0] = {}) {
  const clock = new FakeClock();
  const simulator = await simulatedUpstream({ clock, ...options });
  return { clock, simulator, get: client(simulator) };
}

test("both APIs show a call's states, each in its own shape", async () => {
  const { clock, simulator, get } = await upstream();
  simulator.script("OUT-1", { scenario: "failure" });
  expect((await get(legacyPath("OUT-1"))).json).toEqual({ status: "queued", reason: "" });
  await clock.advance(3_000);
  const agents = await get(agentsPath("OUT-1"));
  expect(agents.json).toEqual({ callSid: "OUT-1", status: "CALLING", reason: "" });
  expect(agents.headers["x-polyai-correlation-id"]).toMatch(/^[0-9a-f-]{36}$/);
  await clock.advance(5_000);
  expect((await get(legacyPath("OUT-1"))).json).toEqual({ status: "failure", reason: "call queueing: max timeout limit exceeded" });
});

test("errors have each API's own shape", async () => {
  const { get } = await upstream();
  const legacy = await get(legacyPath("OUT-unknown"));
  expect(legacy).toMatchObject({ status: 404, json: { error: "Call SID not found", code: "NOT_FOUND" } });
  const agents = await get(agentsPath("OUT-unknown"));
  expect(agents.json).toEqual({
    success: false,
    error: "NOT_FOUND",
    error_id: agents.headers["x-polyai-correlation-id"],
    error_code: "NOT_FOUND",
    error_message: "Call SID not found",
    data: null,
  });
});

test("a SID that cannot be one and a missing environment are 400", async () => {
  const { get } = await upstream();
  expect((await get(legacyPath("nonsense"))).status).toBe(400);
  expect((await get(agentsPath("OUT-1", ""))).status).toBe(400);
  expect((await get(agentsPath("OUT-1", "?environment=prod"))).status).toBe(400);
});

test("each API checks its own credential", async () => {
  const { simulator, get } = await upstream({ authToken: "token", apiKey: "key" });
  simulator.script("OUT-1", {});
  expect((await get(legacyPath("OUT-1"))).status).toBe(401);
  expect((await get(legacyPath("OUT-1"), { "x-api-key": "key" })).status).toBe(401);
  expect((await get(legacyPath("OUT-1"), { "X-PolyAi-Auth-Token": "token" })).status).toBe(200);
  expect((await get(agentsPath("OUT-1"), { "X-API-KEY": "token" })).status).toBe(401);
  expect((await get(agentsPath("OUT-1"), { "X-API-KEY": "key" })).status).toBe(200);
});

test("a status is gone once its retention is over", async () => {
  const { clock, simulator, get } = await upstream();
  simulator.script("OUT-1", { scenario: "success" });
  await clock.advance(9_000 + 2 * 60 * 60 * 1000);
  expect((await get(legacyPath("OUT-1"))).status).toBe(200);
  await clock.advance(1);
  expect((await get(legacyPath("OUT-1"))).status).toBe(404);
});

test("verbatim statuses and a missing reason go out as written", async () => {
  const { simulator, get } = await upstream();
  simulator.script("OUT-1", { scenario: [{ atMs: 0, status: "Calling", reason: null }], verbatim: true });
  expect((await get(legacyPath("OUT-1"))).json).toEqual({ status: "Calling" });
});

test("an unknown SID is adopted where that is asked for", async () => {
  const { get } = await upstream({ adopt: "instant" });
  expect((await get(legacyPath("OUT-not-triggered"))).json).toEqual({ status: "success", reason: "" });
});

test("faults of a call come in the order given, and then it answers", async () => {
  const { simulator, get } = await upstream();
  simulator.script("OUT-1", {
    faults: [
      { kind: "status", statusCode: 500, times: 2 },
      { kind: "not_json", times: 1 },
      { kind: "huge", bytes: 70_000, times: 1 },
      { kind: "redirect", location: "https://elsewhere.example/", times: 1 },
    ],
  });
  simulator.script("OUT-2", {});
  expect((await get(legacyPath("OUT-1"))).json).toEqual({ error: "Failed to retrieve call status", code: "INTERNAL_SERVER_ERROR" });
  expect((await get(legacyPath("OUT-2"))).status).toBe(200);
  expect((await get(legacyPath("OUT-1"))).status).toBe(500);
  expect((await get(legacyPath("OUT-1"))).body).toContain("maintenance");
  expect((await get(legacyPath("OUT-1"))).body.length).toBeGreaterThan(70_000);
  expect(await get(legacyPath("OUT-1"))).toMatchObject({ status: 302, headers: { location: "https://elsewhere.example/" } });
  expect((await get(legacyPath("OUT-1"))).json).toEqual({ status: "queued", reason: "" });
});

test("a fault of the whole upstream spoils every call until it is cleared", async () => {
  const { simulator, get } = await upstream();
  simulator.script("OUT-1", {});
  simulator.fault({ kind: "status", statusCode: 429, retryAfter: "3" });
  expect(await get(legacyPath("OUT-1"))).toMatchObject({ status: 429, headers: { "retry-after": "3" } });
  simulator.clearFaults();
  expect((await get(legacyPath("OUT-1"))).status).toBe(200);
  simulator.fault({ kind: "status", statusCode: 503, retryAfterDateMs: 5_000 });
  expect((await get(agentsPath("OUT-1"))).headers["retry-after"]).toBe("Tue, 24 Nov 2026 12:00:05 GMT");
});

test.each([
  ["reset", { kind: "reset" }],
  ["truncate", { kind: "truncate" }],
] as const)("%s breaks the connection", async (_name, fault) => {
  const { simulator, get } = await upstream();
  simulator.script("OUT-1", { faults: [fault] });
  await expect(get(legacyPath("OUT-1"))).rejects.toThrow();
  expect(simulator.polls.at(-1)?.statusCode).toBeNull();
});

test("a delayed, a dripping and a hanging answer come when their time has come", async () => {
  const { clock, simulator, get } = await upstream();
  simulator.script("OUT-1", {
    faults: [
      { kind: "slow", delayMs: 4_000, times: 1 },
      { kind: "drip", everyMs: 100, times: 1 },
      { kind: "hang", times: 1 },
    ],
  });
  const slow = get(legacyPath("OUT-1"));
  await simulator.polled("OUT-1", 1);
  expect(clock.timerCount).toBe(1);
  await clock.advance(4_000);
  expect((await slow).status).toBe(200);
  const dripping = get(legacyPath("OUT-1"));
  await simulator.polled("OUT-1", 2);
  await clock.advance(100 * 40);
  expect((await dripping).json).toMatchObject({ reason: "" });
  const hanging = get(legacyPath("OUT-1"));
  await simulator.polled("OUT-1", 3);
  await simulator.close();
  await expect(hanging).rejects.toThrow();
  expect(clock.timerCount).toBe(0);
});

test("a rate limit answers 429 past it, a second at a time", async () => {
  const { clock, simulator, get } = await upstream();
  simulator.script("OUT-1", {});
  simulator.limitRate(2, "1");
  const codes = async () => [
    (await get(legacyPath("OUT-1"))).status,
    (await get(legacyPath("OUT-1"))).status,
    (await get(legacyPath("OUT-1"))).status,
  ];
  expect(await codes()).toEqual([200, 200, 429]);
  await clock.advance(1_000);
  expect(await codes()).toEqual([200, 200, 429]);
});

test("polls are counted by call and logged within bounds", async () => {
  const { clock, simulator, get } = await upstream({ pollLogSize: 3 });
  simulator.script("OUT-1", {});
  for (const callSid of ["OUT-2", "OUT-1", "OUT-1", "OUT-1"]) {
    await get(legacyPath(callSid));
    await clock.advance(10);
  }
  expect([simulator.pollCount("OUT-1"), simulator.pollCount("OUT-2"), simulator.totalPolls]).toEqual([3, 1, 4]);
  const startMs = clock.nowMs() - 40;
  expect(simulator.polls.map((poll) => [poll.callSid, poll.atMs - startMs])).toEqual([
    ["OUT-1", 10],
    ["OUT-1", 20],
    ["OUT-1", 30],
  ]);
});

test("both triggers make a call whose life the metadata may name", async () => {
  const { clock, get } = await upstream({ authToken: "token" });
  const token = { "x-polyai-auth-token": "token" };
  const sent = { to_number: "+14155550100", metadata: { scenario: "instant" } };
  expect((await get("/v1/outbound-calling", {}, "POST", sent)).status).toBe(401);
  const legacy = (await get("/v1/outbound-calling", token, "POST", sent)).json as { call_sid: string };
  expect(legacy.call_sid).toMatch(/^OUT-/);
  expect((await get(legacyPath(legacy.call_sid), token)).json).toMatchObject({ status: "success" });
  const agents = await get("/v1/agents/a/telephony/outbound-calls", {}, "POST", { toNumber: "+442012345678", environment: "live" });
  expect(agents.json).toMatchObject({ callSid: expect.stringMatching(/^OUT-/), status: "QUEUED" });
  await clock.advance(3_000);
  expect((await get(agentsPath((agents.json as { callSid: string }).callSid))).json).toMatchObject({ status: "CALLING" });
  expect((await get("/v1/outbound-calling", token, "POST", { to_number: "none" })).status).toBe(400);
});

test("everything can be scripted over HTTP", async () => {
  const { simulator, get } = await upstream();
  const made = await get("/simulator/calls", {}, "POST", {
    call_sid: "OUT-http",
    timeline: [
      { at_ms: 500, status: "calling" },
      { at_ms: 0, status: "queued", reason: "waiting" },
    ],
    faults: [{ kind: "status", status_code: 502, retry_after: "2", times: 1 }],
  });
  expect(made).toMatchObject({ status: 201, json: { call_sid: "OUT-http" } });
  expect(await get(legacyPath("OUT-http"))).toMatchObject({ status: 502, headers: { "retry-after": "2" } });
  expect((await get(legacyPath("OUT-http"))).json).toEqual({ status: "queued", reason: "waiting" });
  expect((await get("/simulator/calls/OUT-http")).json).toEqual({ call_sid: "OUT-http", status: "queued", reason: "waiting", polls: 2 });
  expect((await get("/simulator/faults", {}, "POST", { kind: "status", status_code: 403 })).status).toBe(204);
  expect((await get(legacyPath("OUT-http"))).status).toBe(403);
  expect((await get("/simulator/faults", {}, "DELETE")).status).toBe(204);
  expect((await get("/simulator/rate", {}, "PUT", { per_second: 1 })).status).toBe(204);
  await get(legacyPath("OUT-http"));
  expect((await get(legacyPath("OUT-http"))).status).toBe(429);
  expect(simulator.pollCount("OUT-http")).toBe(5);
});

test.each([
  ["/simulator/calls", "POST", { scenario: "unheard-of" }, 422],
  ["/simulator/calls", "POST", { call_sid: ".." }, 422],
  ["/simulator/calls", "POST", { scenario: "lost", timeline: [] }, 422],
  ["/simulator/faults", "POST", { kind: "explode" }, 422],
  ["/simulator/faults", "POST", undefined, 422],
  ["/simulator/calls/OUT-unknown", "GET", undefined, 404],
  ["/elsewhere", "GET", undefined, 404],
])("%s %s %j is refused", async (path, method, sent, status) => {
  const { get } = await upstream();
  expect((await get(path, {}, method, sent)).status).toBe(status);
});

test("the environment it names points a service at it", async () => {
  const { simulator } = await upstream({ authToken: "token", apiKey: "key" });
  expect(simulator.environment("polyai-legacy")).toEqual({
    POLYAI_KIND: "polyai-legacy",
    POLYAI_BASE_URL: simulator.url,
    POLYAI_AUTH_TOKEN: "token",
  });
  expect(simulator.environment("polyai-agents")).toMatchObject({ POLYAI_API_KEY: "key", POLYAI_ENVIRONMENT: "live" });
});

test("a shape with a trigger starts a call for each POST, with any body, and plays it", async () => {
  const { get } = await upstream();
  const trigger = { path: "/v2/calls", template: { data: { id: "{{call_sid}}" } } };
  const shape = { path: "/v2/calls/{id}", template: { state: "{{status}}" }, trigger, authorization: "Bearer t" };
  expect((await get("/simulator/shapes", {}, "POST", shape)).status).toBe(204);
  const authorized = { authorization: "Bearer t" };
  const place = async (body: unknown) => (await get("/v2/calls", authorized, "POST", body)).json as { data: { id: string } };
  const [first, second] = [await place({ metadata: { scenario: "not-found" } }), await place({ to: "+44" })];
  expect(first.data.id).not.toBe(second.data.id);
  expect((await get(`/v2/calls/${first.data.id}`, authorized)).status).toBe(404);
  expect((await get(`/v2/calls/${second.data.id}`, authorized)).json).toEqual({ state: "queued" });
  expect((await get("/v2/calls", {}, "POST", {})).status).toBe(401);
});

test("a status API of any shape plays the calls, rendered through its template", async () => {
  const { clock, simulator, get } = await upstream();
  const template = {
    id: "{{call_sid}}",
    call: { state: "{{status}}", why: "{{reason}}", n: "{{data.n}}" },
    note: ["{{status}}: {{reason}}"],
  };
  const shape = { path: "/v2/calls/{id}?full=1", template, authorization: "Bearer t" };
  expect((await get("/simulator/shapes", {}, "POST", shape)).status).toBe(204);
  expect((await get("/simulator/shapes", {}, "POST", { ...shape, path: "/v2/calls" })).status).toBe(422);
  const timeline = [
    { at_ms: 0, status: "Talking", reason: null, data: { n: 1 } },
    { at_ms: 2000, status: "Over", reason: "hung up" },
  ];
  await get("/simulator/calls", {}, "POST", { call_sid: "a/b", timeline, verbatim: true });
  const poll = (sid: string, authorization = "Bearer t") => get(`/v2/calls/${encodeURIComponent(sid)}?full=1`, { authorization });
  expect((await poll("a/b")).json).toEqual({ id: "a/b", call: { state: "Talking", why: null, n: 1 }, note: ["Talking: "] });
  await clock.advance(2000);
  expect((await poll("a/b")).json).toMatchObject({ call: { state: "Over", why: "hung up", n: null }, note: ["Over: hung up"] });
  expect([(await poll("a/b", "x")).status, (await poll("other")).status]).toEqual([401, 404]);
  simulator.fault({ kind: "status", statusCode: 503, times: 1 });
  expect([(await poll("a/b")).status, (await poll("a/b")).status]).toEqual([503, 200]);
  expect(simulator.polls.map(({ kind, callSid, statusCode }) => `${kind} ${callSid} ${statusCode}`)).toEqual([
    "json a/b 200",
    "json a/b 200",
    "json a/b 401",
    "json other 404",
    "json a/b 503",
    "json a/b 200",
  ]);
});

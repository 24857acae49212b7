import { describe, expect, test } from "vitest";
import type { WaitEnd } from "../../src/ports/use-cases/live-state.ts";
import type { WatchOutcome, WatchRequest } from "../../src/ports/use-cases/registration.ts";
import { startMs } from "../harness/deliveries.ts";
import type { Answer } from "../harness/service/client.ts";
import { createTestApi } from "./test-api.ts";
import { faultsOf, problemOf } from "../harness/service/client.ts";
import { watchView } from "./views.ts";

const callbackUrl = "https://crm.example.com/hooks/calls";
const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const minimal = { call_sid: "OUT-1", callback_url: callbackUrl };
const pairs = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, index) => [`key_${index}`, "x"]));

describe("POST /v1/watches", () => {
  test("what is left out is the default", async () => {
    const { send, watchRequests } = createTestApi();
    const response = await send("POST", "/v1/watches", minimal);
    expect(response.status).toBe(201);
    expect(watchRequests).toEqual([
      [
        {
          callSid: "OUT-1",
          callbackUrl,
          needsHook: false,
          filter: { names: null, where: [] },
          metadata: {},
          format: null,
          request: null,
          headers: null,
          signingSecret: null,
          sourceName: null,
          expiresAtMs: null,
          trace: null,
        },
      ],
    ]);
  });

  test.each([
    ["an explicit null needs no hook", { callback_url: null }, false],
    ["a callback URL that is left out needs one", {}, true],
  ])("%s", async (_what, given, needsHook) => {
    const { send, watchRequests } = createTestApi();
    await send("POST", "/v1/watches", { call_sid: "OUT-1", ...given });
    expect(watchRequests).toMatchObject([[{ callbackUrl: null, needsHook }]]);
  });

  test("everything is handed on", async () => {
    const { send, watchRequests } = createTestApi();
    const response = await send("POST", "/v1/watches", {
      ...minimal,
      call_sid: "OUT-sandbox-success-1",
      source: "sandbox",
      events: ["terminal", "call.queued"],
      metadata: { lead_id: "00Q5g000" },
      format: "cloudevents",
      headers: { Authorization: "Bearer x" },
      signing_secret: secret,
      expires_at: "2026-11-24T13:00:00+01:00",
    });
    expect(response.status).toBe(201);
    expect(watchRequests[0]?.[0]).toEqual({
      callSid: "OUT-sandbox-success-1",
      callbackUrl,
      needsHook: false,
      filter: { names: ["terminal", "call.queued"], where: [] },
      metadata: { lead_id: "00Q5g000" },
      format: "cloudevents",
      request: null,
      headers: { Authorization: "Bearer x" },
      signingSecret: secret,
      sourceName: "sandbox",
      expiresAtMs: startMs,
      trace: null,
    });
  });

  test("the watch has every key, times in milliseconds, and the secret that was made", async () => {
    const view = watchView({ events: ["terminal"], metadata: { lead_id: "1" }, expiresAtMs: startMs + 1 });
    const { send } = createTestApi({ registration: { registerWatch: async () => ({ kind: "created", view, signingSecret: secret }) } });
    expect((await send("POST", "/v1/watches", minimal)).body).toEqual({
      id: "wch_1",
      call_sid: "OUT-1",
      callback_url: callbackUrl,
      endpoint_id: "ep_1",
      endpoint_state: "enabled",
      source: "default",
      status: "active",
      end_reason: null,
      call: {
        status: null,
        reason: "",
        terminal: false,
        observed_at: null,
        polled_at: null,
        next_poll_at: null,
        problem: null,
        problem_detail: null,
      },
      events: ["terminal"],
      metadata: { lead_id: "1" },
      format: "standard",
      request: null,
      sequence: 0,
      explain: "waiting for the first poll of the call",
      created_at: "2026-11-24T12:00:00.000Z",
      expires_at: "2026-11-24T12:00:00.001Z",
      ended_at: null,
      signing_secret: secret,
    });
  });

  test("one that is there already is 200", async () => {
    const existing = { kind: "existing" as const, view: watchView(), signingSecret: null };
    const { send } = createTestApi({ registration: { registerWatch: async () => existing } });
    const response = await send("POST", "/v1/watches", minimal);
    expect(response.status).toBe(200);
    expect(response.body).toMatchObject({ id: "wch_1", signing_secret: null });
  });

  test.each<[string, object, readonly string[]]>([
    ["no SID", { call_sid: undefined }, ["/call_sid"]],
    ["an empty SID", { call_sid: "" }, ["/call_sid"]],
    ["a SID of 133", { call_sid: "x".repeat(133) }, ["/call_sid"]],
    ["a step of a path", { call_sid: ".." }, ["/call_sid"]],
    ["half a surrogate pair", { call_sid: "OUT-\ud800" }, ["/call_sid"]],
    ["a line end after the SID", { call_sid: "OUT-1\n" }, ["/call_sid"]],
    ["a number for a URL", { callback_url: 5 }, ["/callback_url"]],
    ["no events at all", { events: [] }, ["/events"]],
    ["one event as text", { events: "terminal" }, ["/events"]],
    ["an unknown event", { events: ["terminal", "call.ringing"] }, ["/events/1"]],
    ["an operational event", { events: ["endpoint.disabled"] }, ["/events/0"]],
    ["a test event", { events: ["endpoint.test"] }, ["/events/0"]],
    ["17 metadata pairs", { metadata: pairs(17) }, ["/metadata"]],
    ["over 2 KiB of metadata", { metadata: { a: "é".repeat(1024) } }, ["/metadata"]],
    ["a metadata key with a dash", { metadata: { "lead-id": "1" } }, ["/metadata/lead-id"]],
    ["a metadata key of 41", { metadata: { ["k".repeat(41)]: "1" } }, [`/metadata/${"k".repeat(41)}`]],
    ["a number in metadata", { metadata: { lead_id: 1 } }, ["/metadata/lead_id"]],
    ["half a character in metadata", { metadata: { lead_id: "\ud83d" } }, ["/metadata/lead_id"]],
    ["a NUL in metadata", { metadata: { lead_id: "a\0b" } }, ["/metadata/lead_id"]],
    ["an empty name of a source", { source: "" }, ["/source"]],
    ["a NUL in the name of a source", { source: "a\0b" }, ["/source"]],
    ["a list for metadata", { metadata: ["a"] }, ["/metadata"]],
    ["an unknown format", { format: "xml" }, ["/format"]],
    ["the format of a template without one", { format: "template" }, ["/request"]],
    ["a template beside another format", { format: "flat", request: { method: "POST", body: 1 } }, ["/request"]],
    ["a template that is none", { request: "{}" }, ["/request"]],
    ["a template without its parts", { request: {} }, ["/request/method", "/request/body"]],
    ["a method that changes nothing", { request: { method: "GET", body: 1 } }, ["/request/method"]],
    ["an unknown key of a template", { request: { method: "PUT", body: 1, url: "x" } }, ["/request/url"]],
    ["a template of a form", { request: { method: "PUT", content_type: "multipart/form-data", body: "x" } }, ["/request/content_type"]],
    ["a number for a type", { request: { method: "PUT", content_type: 1, body: "x" } }, ["/request/content_type"]],
    ["text that is no text", { request: { method: "PUT", content_type: "text/plain", body: 1 } }, ["/request/body"]],
    ["a placeholder of nothing", { request: { method: "PUT", body: { "a/b": ["", "{{data.x}}"] } } }, ["/request/body/a~1b/1"]],
    ["too many placeholders", { request: { method: "PUT", body: "{{type}}".repeat(33) } }, ["/request/body"]],
    ["a large template", { request: { method: "PUT", body: "x".repeat(8191) } }, ["/request/body"]],
    ["a template without a URL", { callback_url: undefined, request: { method: "PUT", body: 1 } }, ["/request"]],
    ["a header of ours", { headers: { "Webhook-Id": "1" } }, ["/headers/Webhook-Id"]],
    ["a line end in a header", { headers: { "x-a": "1\r\nx-b: 2" } }, ["/headers/x-a"]],
    ["21 headers", { headers: Object.fromEntries(Array.from({ length: 21 }, (_, index) => [`x-${index}`, "1"])) }, ["/headers"]],
    ["a short secret", { signing_secret: "whsec_c2hvcnQ=" }, ["/signing_secret"]],
    ["a secret without its prefix", { signing_secret: "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" }, ["/signing_secret"]],
    ["a time without a zone", { expires_at: "2026-11-24T13:00:00" }, ["/expires_at"]],
    ["a day that is none", { expires_at: "2026-11-31T13:00:00Z" }, ["/expires_at"]],
    ["seconds for a time", { expires_at: 1764000000 }, ["/expires_at"]],
    ["an unknown key", { callbackUrl: "https://a.example/" }, ["/callbackUrl"]],
    ["a sandbox SID elsewhere", { call_sid: "OUT-sandbox-success" }, ["/source"]],
    ["a real SID in the sandbox", { source: "sandbox" }, ["/call_sid"]],
    ["an unknown scenario", { source: "sandbox", call_sid: "OUT-sandbox-busy" }, ["/call_sid"]],
    ["a scenario with more behind it", { source: "sandbox", call_sid: "OUT-sandbox-successful" }, ["/call_sid"]],
    ["format without a URL", { callback_url: undefined, format: "flat" }, ["/format"]],
    ["headers without a URL", { callback_url: null, headers: {} }, ["/headers"]],
    ["a secret without a URL", { callback_url: undefined, signing_secret: secret }, ["/signing_secret"]],
    ["two faults", { call_sid: "", format: "xml" }, ["/call_sid", "/format"]],
  ])("%s is 422 where it is", async (_name, over, pointers) => {
    const { send, watchRequests } = createTestApi();
    const response = await send("POST", "/v1/watches", { ...minimal, ...over });
    expect(response.status).toBe(422);
    expect(faultsOf(response)).toEqual(pointers);
    expect(watchRequests).toEqual([]);
  });

  test.each(["OUT-sandbox-success", "OUT-sandbox-not-found", "OUT-sandbox-slow-2"])("%s is a sandbox call", async (callSid) => {
    const { send } = createTestApi();
    expect((await send("POST", "/v1/watches", { ...minimal, call_sid: callSid, source: "sandbox" })).status).toBe(201);
  });

  test("what is missing is said to be missing", async () => {
    const { send } = createTestApi();
    const { errors } = problemOf(await send("POST", "/v1/watches", {}));
    expect(errors).toEqual([{ pointer: "/call_sid", detail: "is required" }]);
  });

  test("no fault repeats a secret", async () => {
    const { send } = createTestApi();
    const over = { signing_secret: "whsec_hunter2", headers: { "x-key": "hunter2\n" }, metadata: { a: 1, b: "hunter2" } };
    expect((await send("POST", "/v1/watches", { ...minimal, ...over })).text).not.toContain("hunter2");
  });

  const conflict = { kind: "conflict", detail: "it differs", watchId: null, endpointId: null } as const;
  test.each<[Exclude<WatchOutcome, { view: unknown }>, number, object]>([
    [
      { kind: "invalid", slug: "blocked-address", errors: [{ pointer: "/callback_url", detail: "127.0.0.1 is not public" }] },
      422,
      { errors: [{ pointer: "/callback_url", detail: "127.0.0.1 is not public" }] },
    ],
    [{ kind: "invalid", slug: "no-source", errors: [{ pointer: "/source", detail: "there is none" }] }, 422, {}],
    [{ ...conflict, slug: "watch-differs", watchId: "wch_9" }, 409, { watch_id: "wch_9" }],
    [{ ...conflict, slug: "endpoint-differs", endpointId: "ep_9" }, 409, { endpoint_id: "ep_9" }],
    [{ kind: "forbidden", slug: "quota-exceeded", detail: "100 hooks" }, 403, { detail: "100 hooks" }],
    [{ kind: "later", slug: "source-saturated", detail: "too many calls", retryAfterMs: 60_000 }, 429, {}],
  ])("a refusal %o is %i", async (refusal, status, body) => {
    const { send } = createTestApi({ registration: { registerWatch: async () => refusal } });
    const response = await send("POST", "/v1/watches", minimal);
    expect(response.status).toBe(status);
    expect(response.headers["retry-after"]).toBe(refusal.kind === "later" ? "60" : undefined);
    expect(problemOf(response)).toMatchObject({ type: `urn:ringback:problem:${refusal.slug}`, status, ...body });
  });
});

const outcomes = (requests: readonly WatchRequest[]): readonly WatchOutcome[] =>
  requests.map(({ callSid }) => {
    if (callSid === "OUT-2") return { kind: "forbidden", slug: "quota-exceeded", detail: "full" };
    return { kind: callSid === "OUT-3" ? "existing" : "created", view: watchView({ callSid }), signingSecret: null };
  });

const batchOf = (count: number, item: object) => ({
  watches: Array.from({ length: count }, (_, n) => ({ ...minimal, call_sid: `OUT-${n}`, ...item })),
});

describe("POST /v1/watches/batch", () => {
  test("with a key is refused before anything is done if its answer may exceed 1 MiB, and not without", async () => {
    const { send, watchRequests } = createTestApi();
    const metadata = { note: "n".repeat(1500) };
    const keyed = (key: string, body: unknown) => send("POST", "/v1/watches/batch", body, { "idempotency-key": key });
    const small = await keyed("small", batchOf(1000, {}));
    expect([small.status, small.text.length]).toEqual([200, expect.toSatisfy((bytes: number) => bytes < 1_048_576)]);
    const large = await keyed("large", batchOf(500, { metadata }));
    expect([large.status, large.body]).toMatchObject([422, { type: "urn:ringback:problem:batch-too-large-for-key" }]);
    // Each fault of an item is listed in its answer.
    const unknown = Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`unknown_key_${n}`, 1]));
    expect((await keyed("faulty", batchOf(200, unknown))).body["type"]).toBe("urn:ringback:problem:batch-too-large-for-key");
    expect(watchRequests).toHaveLength(1);
    expect((await send("POST", "/v1/watches/batch", batchOf(500, { metadata }))).status).toBe(200);
  });

  test("each item has its answer in its place, and the good ones go in one call", async () => {
    const { send, watchRequests } = createTestApi();
    const watches = [
      minimal,
      null,
      { ...minimal, call_sid: "OUT-2" },
      [],
      "x",
      { ...minimal, format: "xml", extra: 1 },
      { call_sid: "OUT-3" },
    ];
    const response = await send("POST", "/v1/watches/batch", { watches });
    expect(response.status).toBe(200);
    const { results } = response.body as {
      results: { status: number; watch?: { call_sid: string }; problem?: { errors: object[] } }[];
    };
    expect(results.map(({ status }) => status)).toEqual([201, 422, 201, 422, 422, 422, 201]);
    expect(results.map(({ watch }) => watch?.call_sid)).toEqual(["OUT-1", undefined, "OUT-2", undefined, undefined, undefined, "OUT-3"]);
    expect(results[1]?.problem?.errors).toEqual([{ pointer: "", detail: "must be an object" }]);
    expect(results[5]?.problem?.errors).toMatchObject([{ pointer: "/format" }, { pointer: "/extra" }]);
    expect(watchRequests.map((requests) => requests.map(({ callSid }) => callSid))).toEqual([["OUT-1", "OUT-2", "OUT-3"]]);
  });

  test("refusals and existing watches have statuses of their own", async () => {
    const { send } = createTestApi({
      registration: { registerBatch: async (_account, requests) => ({ kind: "batch", outcomes: outcomes(requests) }) },
    });
    const watches = ["OUT-1", "OUT-2", "OUT-3"].map((callSid) => ({ ...minimal, call_sid: callSid }));
    const { results } = (await send("POST", "/v1/watches/batch", { watches })).body as { results: { status: number }[] };
    expect(results).toMatchObject([
      { status: 201 },
      { status: 403, problem: { type: "urn:ringback:problem:quota-exceeded" } },
      { status: 200 },
    ]);
  });

  test.each<[string, unknown, readonly string[]]>([
    ["none", { watches: [] }, ["/watches"]],
    ["1,001", { watches: Array.from({ length: 1001 }, () => minimal) }, ["/watches"]],
    ["no list", { watches: {} }, ["/watches"]],
    ["nothing", {}, ["/watches"]],
    ["an unknown key", { watches: [minimal], dry_run: true }, ["/dry_run"]],
    ["a bare list", [minimal], [""]],
  ])("%s is 422", async (_name, body, pointers) => {
    const { send } = createTestApi();
    const response = await send("POST", "/v1/watches/batch", body);
    expect(response.status).toBe(422);
    expect(faultsOf(response)).toEqual(pointers);
  });

  test("only bad ones register nothing and are 200 all the same", async () => {
    const { send, watchRequests } = createTestApi();
    const response = await send("POST", "/v1/watches/batch", { watches: [1, 2] });
    expect(response.status).toBe(200);
    expect(response.body).toMatchObject({ results: [{ status: 422 }, { status: 422 }] });
    expect(watchRequests.flat()).toEqual([]);
  });
});

/** A watch that goes on by one when `change` is called. */
function waiting(first: Parameters<typeof watchView>[0] = {}) {
  let sequence = first.sequence ?? 0;
  const changed = Promise.withResolvers<WaitEnd>();
  const waits: { timeoutMs: number; signal: AbortSignal }[] = [];
  const api = createTestApi({
    store: { getWatch: async (_accountId, id) => (id === "wch_1" ? watchView({ ...first, sequence }) : null) },
    live: {
      changed: (_watchId, timeoutMs, signal) => {
        waits.push({ timeoutMs, signal });
        signal.addEventListener("abort", () => changed.resolve("aborted"));
        return changed.promise;
      },
    },
  });
  const change = () => {
    sequence += 1;
    changed.resolve("event");
  };
  return { ...api, change, waits };
}
const sequenceOf = ({ body }: Answer) => body["sequence"];

describe("GET /v1/watches/{id}?wait=", () => {
  test("holds the answer until the next transition", async () => {
    const { send, change, waits } = waiting({ sequence: 2 });
    const answer = send("GET", "/v1/watches/wch_1?wait=30&sequence=2");
    await Promise.race([answer, new Promise((resolve) => setImmediate(resolve))]);
    change();
    expect(sequenceOf(await answer)).toBe(3);
    expect(waits.map(({ timeoutMs }) => timeoutMs)).toEqual([29_300]);
  });

  test.each([
    [1, 1000],
    [29, 29_000],
    [30, 29_300],
  ])("wait=%i waits for %i ms: the answer comes before a router that allows 30 s gives up", async (seconds, ms) => {
    const { send, change, waits } = waiting({ sequence: 2 });
    const answer = send("GET", `/v1/watches/wch_1?wait=${seconds}`);
    await expect.poll(() => waits.length).toBe(1);
    change();
    await answer;
    expect(waits.map(({ timeoutMs }) => timeoutMs)).toEqual([ms]);
  });

  test.each([
    ["the watch is past the sequence", { sequence: 3 }, "wait=30&sequence=2"],
    ["the watch has ended", { sequence: 3, status: "completed" as const }, "wait=30"],
    ["wait is 0", { sequence: 3 }, "wait=0"],
  ])("is answered at once when %s, and leaves no waiter", async (_name, first, query) => {
    const { send, waits } = waiting(first);
    expect(sequenceOf(await send("GET", `/v1/watches/wch_1?${query}`))).toBe(3);
    expect(waits.every(({ signal }) => signal.aborted)).toBe(true);
  });

  test("an unknown watch is 404 at once and leaves no waiter", async () => {
    const { send, waits } = waiting();
    expect((await send("GET", "/v1/watches/wch_2?wait=30")).status).toBe(404);
    expect(waits.map(({ signal }) => signal.aborted)).toEqual([true]);
  });

  test("a client that goes away releases its waiter", async () => {
    const { request, waits } = waiting();
    const client = new AbortController();
    const headers = { "x-api-key": "rb_0123456789abcdef01234567" };
    const answer = request("/v1/watches/wch_1?wait=30", { headers, signal: client.signal });
    await expect.poll(() => waits.length).toBe(1);
    client.abort();
    await answer;
    expect(waits.map(({ signal }) => signal.aborted)).toEqual([true]);
  });

  test("a watch purged meanwhile is 404", async () => {
    let reads = 0;
    const { send } = createTestApi({
      store: { getWatch: async () => (reads++ === 0 ? watchView() : null) },
      live: { changed: async () => "event" },
    });
    expect((await send("GET", "/v1/watches/wch_1?wait=5")).status).toBe(404);
  });
});

describe("the rest", () => {
  test("lists ask for what the query says", async () => {
    const asked: object[] = [];
    const { send } = createTestApi({
      store: {
        listWatches: async (query) => {
          asked.push(query);
          return { data: [watchView()], nextCursor: "more" };
        },
      },
    });
    const response = await send("GET", "/v1/watches?limit=7&cursor=abc&status=ended&call_sid=OUT-1");
    expect(response.body).toMatchObject({ data: [{ id: "wch_1" }], next_cursor: "more" });
    await send("GET", "/v1/watches");
    expect(asked).toEqual([
      { accountId: "acc_1", limit: 7, cursor: "abc", status: "ended", callSid: "OUT-1" },
      { accountId: "acc_1", limit: 50, cursor: null, status: null, callSid: null },
    ]);
  });

  test.each([
    ["metadata.lead_id=1", { lead_id: "1" }],
    ["metadata.lead_id=a%20b&status=active&metadata.team=&limit=7", { lead_id: "a b", team: "" }],
    ["metadata.__proto__=1", JSON.parse('{"__proto__":"1"}') as object],
  ])("%s searches by metadata", async (query, metadata) => {
    const asked: { metadata: object }[] = [];
    const { send } = createTestApi({
      store: {
        listWatchesByMetadata: async (request) => {
          asked.push(request);
          return { data: [watchView()], nextCursor: null };
        },
      },
    });
    expect((await send("GET", `/v1/watches?${query}`)).status).toBe(200);
    expect(asked.map((request) => Object.entries(request.metadata))).toEqual([Object.entries(metadata)]);
  });

  test.each([
    ["metadata=1", ["metadata"]],
    ["metadata.=1", ["metadata."]],
    ["metadata.a-b=1", ["metadata.a-b"]],
    ["metadata.a=1&metadata.a=2", ["metadata.a"]],
    ["metadat.a=1&reason=x", ["metadat.a", "reason"]],
    [Array.from({ length: 17 }, (_, n) => `metadata.k${n}=x`).join("&"), ["metadata.k16"]],
  ])("%s is 422", async (query, parameters) => {
    const { send } = createTestApi();
    const response = await send("GET", `/v1/watches?${query}`);
    expect([response.status, faultsOf(response)]).toEqual([422, parameters]);
  });

  test.each([
    ["", false],
    ["?purge=true", true],
    ["?purge=false", false],
  ])("DELETE%s is 204 without a body", async (query, purge) => {
    const purged: boolean[] = [];
    const { send } = createTestApi({ registration: { removeWatch: async (_account, _id, value) => purged.push(value) > 0 } });
    const response = await send("DELETE", `/v1/watches/wch_1${query}`);
    expect([response.status, response.text]).toEqual([204, ""]);
    expect(purged).toEqual([purge]);
  });

  test("a watch without a callback has no endpoint", async () => {
    const view = watchView({ callbackUrl: null, endpointId: null }, { endpoint: null });
    const { send } = createTestApi({ store: { getWatch: async () => view } });
    expect((await send("GET", "/v1/watches/wch_1")).body).toMatchObject({
      callback_url: null,
      endpoint_id: null,
      endpoint_state: null,
      format: null,
    });
  });

  test("the state of the polling is shown while the watch is active", async () => {
    const problemDetail = "answered 502 (correlation id abc)";
    const progress = { polledAtMs: startMs + 1, nextPollAtMs: startMs + 2000, problem: "source_slowed" as const, problemDetail };
    const polling = {
      polled_at: "2026-11-24T12:00:00.001Z",
      next_poll_at: "2026-11-24T12:00:02.000Z",
      problem: "source_slowed",
      problem_detail: problemDetail,
    };
    const of = async (status: "active" | "completed") => {
      const { send } = createTestApi({ store: { getWatch: async () => watchView({ status }) }, live: { callProgress: () => progress } });
      return ((await send("GET", "/v1/watches/wch_1")).body as { call: object }).call;
    };
    expect(await of("active")).toMatchObject(polling);
    expect(await of("completed")).toMatchObject({ next_poll_at: null, problem: null, problem_detail: null });
  });
});

describe("PATCH /v1/watches/{id}", () => {
  test.each([
    [{}, {}],
    [{ metadata: { lead_id: "2" } }, { metadata: { lead_id: "2" } }],
    [{ events: null }, { filter: { names: null, where: [] } }],
    [
      { events: ["terminal"], metadata: {} },
      { filter: { names: ["terminal"], where: [] }, metadata: {} },
    ],
    [{ expires_at: "2026-11-24T12:00:00.000Z" }, { expiresAtMs: startMs }],
    [{ expires_at: null }, { expiresAtMs: null }],
  ])("%j changes what it names", async (body, change) => {
    const { send, watchChanges } = createTestApi();
    const response = await send("PATCH", "/v1/watches/wch_1", body);
    expect([response.status, (response.body as { id: string }).id]).toEqual([200, "wch_1"]);
    expect(watchChanges).toEqual([change]);
  });

  test.each([
    [{ callback_url: "https://other.example/" }, ["/callback_url"]],
    [{ call_sid: "OUT-2", source: "x" }, ["/call_sid", "/source"]],
    [{ metadata: null }, ["/metadata"]],
    [{ metadata: { "a-b": "1" } }, ["/metadata/a-b"]],
    [{ events: ["endpoint.disabled"] }, ["/events/0"]],
    [{ events: [] }, ["/events"]],
    [{ expires_at: "soon" }, ["/expires_at"]],
    [[], [""]],
  ])("%j is 422", async (body, pointers) => {
    const { send, watchChanges } = createTestApi();
    const response = await send("PATCH", "/v1/watches/wch_1", body);
    expect([response.status, faultsOf(response)]).toEqual([422, pointers]);
    expect(watchChanges).toEqual([]);
  });

  test("an ended watch is 409, an unknown one 404", async () => {
    const { send } = createTestApi();
    const ended = await send("PATCH", "/v1/watches/wch_2", { metadata: {} });
    expect([ended.status, problemOf(ended).type]).toEqual([409, "urn:ringback:problem:watch-ended"]);
    expect((await send("PATCH", "/v1/watches/wch_3", { metadata: {} })).status).toBe(404);
  });
});

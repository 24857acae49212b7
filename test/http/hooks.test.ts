import { describe, expect, test } from "vitest";
import { callEvent } from "../harness/events.ts";
import type { Answer } from "../harness/service/client.ts";
import { createTestApi } from "./test-api.ts";
import { faultsOf, problemOf } from "../harness/service/client.ts";
import { hookView } from "./views.ts";

const url = "https://hooks.zapier.com/hooks/standard/1/abc/";

describe("POST /v1/hooks", () => {
  test.each(["url", "target_url", "targetUrl", "hookUrl"])("the URL may be spelled %s", async (urlKey) => {
    const { send, hookRequests } = createTestApi();
    const response = await send("POST", "/v1/hooks", { [urlKey]: url });
    expect(response.status).toBe(201);
    expect(hookRequests).toEqual([
      { url, urlKey, filter: { names: null, where: [] }, format: null, request: null, headers: null, signingSecret: null },
    ]);
  });

  test("the hook has every key", async () => {
    const { send } = createTestApi({
      registration: { registerHook: async () => ({ kind: "created", view: hookView(), secret: "whsec_x" }) },
    });
    expect((await send("POST", "/v1/hooks", { url, zap_id: 7, subscription: {} })).body).toEqual({
      id: "hk_1",
      secret: "whsec_x",
      url,
      events: null,
      where: null,
      format: "flat",
      request: null,
      endpoint_id: "ep_1",
      endpoint_state: "enabled",
      created_at: "2026-11-24T12:00:00.000Z",
      ignored: ["zap_id", "subscription"],
    });
  });

  test("the same again is 200", async () => {
    const { send } = createTestApi({ registration: { registerHook: async () => ({ kind: "existing", view: hookView(), secret: null }) } });
    const response = await send("POST", "/v1/hooks", { url });
    expect([response.status, (response.body as { secret: unknown }).secret]).toEqual([200, null]);
  });

  test.each([
    [{ event: "call.success" }, ["call.success"], []],
    [{ event: ["terminal", "endpoint.disabled"] }, ["terminal", "endpoint.disabled"], []],
    [{ event: null }, null, []],
    [{ events: ["terminal"], event: "call.success" }, ["terminal"], ["event"]],
    [{ events: null }, null, []],
    [{ target_url: "https://other.example/" }, null, ["target_url"]],
  ])("%j is read as %j", async (over, events, ignored) => {
    const { send, hookRequests } = createTestApi();
    const response = await send("POST", "/v1/hooks", { url, ...over });
    expect((response.body as { ignored: unknown }).ignored).toEqual(ignored);
    expect(hookRequests[0]).toMatchObject({ url, filter: { names: events } });
  });

  test.each<[object, readonly string[]]>([
    [{ url: undefined }, ["/url"]],
    [{ url: undefined, targetUrl: 5 }, ["/targetUrl"]],
    [{ event: "call.ringing" }, ["/event"]],
    [{ event: ["call.ringing"] }, ["/event/0"]],
    [{ url: "" }, ["/url"]],
    [{ url: " ", targetUrl: null }, ["/url"]],
    [{ event: {} }, ["/event"]],
    [{ event: 1 }, ["/event"]],
    [{ events: ["nothing"] }, ["/events/0"]],
    [{ events: ["", "terminal", "nothing"] }, ["/events/2"]],
    [{ format: {} }, ["/format"]],
    [{ format: "xml" }, ["/format"]],
    [{ headers: { cookie: "a=b" } }, ["/headers/cookie"]],
    [{ signing_secret: "x" }, ["/signing_secret"]],
    [{ format: "template" }, ["/request"]],
    [{ format: "slack", request: { method: "POST", body: 1 } }, ["/request"]],
    [{ request: { method: "POST", body: ["{{x}}"] } }, ["/request/body/0"]],
  ])("%j is 422", async (over, pointers) => {
    const { send, hookRequests } = createTestApi();
    const response = await send("POST", "/v1/hooks", { url, ...over });
    expect(response.status).toBe(422);
    expect(faultsOf(response)).toEqual(pointers);
    expect(hookRequests).toEqual([]);
  });

  test.each<[object, readonly object[], object | null]>([
    [{ status: "failure" }, [{ field: "status", test: "is", texts: ["failure"] }], { status: "failure" }],
    [
      { source: { in: ["a", "b"] }, reason: { prefix: "busy" }, "metadata.team": { not: "" } },
      [
        { field: "source", test: "in", texts: ["a", "b"] },
        { field: "reason", test: "prefix", texts: ["busy"] },
        { field: "metadata.team", test: "not", texts: [""] },
      ],
      { source: { in: ["a", "b"] }, reason: { prefix: "busy" }, "metadata.team": { not: "" } },
    ],
    [{ reason: "😀".repeat(256) }, [{ field: "reason", test: "is", texts: ["😀".repeat(256)] }], { reason: "😀".repeat(256) }],
    [{}, [], null],
  ])("where %j is read and shown", async (where, terms, shown) => {
    const filters: unknown[] = [];
    const { send } = createTestApi({
      registration: {
        registerHook: async (_account, { filter }) => {
          filters.push(filter);
          return { kind: "created", view: hookView({ filter }), secret: null };
        },
      },
    });
    const response = await send("POST", "/v1/hooks", { url, events: ["terminal"], where });
    expect(response.status).toBe(201);
    expect(response.body).toMatchObject({ events: ["terminal"], where: shown, ignored: [] });
    expect(filters).toEqual([{ names: ["terminal"], where: terms }]);
  });

  const text257 = "x".repeat(257);
  test.each<[unknown, readonly string[]]>([
    ["status", ["/where"]],
    [[{ status: "failure" }], ["/where"]],
    [{ state: "x" }, ["/where/state"]],
    [{ "metadata.": "x" }, ["/where/metadata."]],
    [{ "metadata.a/b": "x" }, ["/where/metadata.a~1b"]],
    [{ [`metadata.${"k".repeat(41)}`]: "x" }, [`/where/metadata.${"k".repeat(41)}`]],
    [{ status: null }, ["/where/status"]],
    [{ status: 1 }, ["/where/status"]],
    [{ status: {} }, ["/where/status"]],
    [{ status: { is: "failure" } }, ["/where/status"]],
    [{ status: { not: "failure", prefix: "f" } }, ["/where/status"]],
    [{ status: text257 }, ["/where/status"]],
    [{ status: { prefix: text257 } }, ["/where/status/prefix"]],
    [{ status: { not: null } }, ["/where/status/not"]],
    [{ status: { in: [] } }, ["/where/status/in"]],
    [{ status: { in: "failure" } }, ["/where/status/in"]],
    [{ status: { in: ["failure", 1, text257] } }, ["/where/status/in/1", "/where/status/in/2"]],
    [{ status: { in: Array.from({ length: 33 }, () => "x") } }, ["/where/status/in"]],
    [Object.fromEntries(Array.from({ length: 9 }, (_, n) => [`metadata.k${n}`, "x"])), ["/where"]],
    [{ state: "x", status: 1 }, ["/where/state", "/where/status"]],
  ])("where %j is 422", async (where, pointers) => {
    const { send, hookRequests } = createTestApi();
    const response = await send("POST", "/v1/hooks", { url, where });
    expect([response.status, faultsOf(response)]).toEqual([422, pointers]);
    expect(hookRequests).toEqual([]);
  });

  const blanks = ["", " ", null, [], [""], [null]];
  test.each(
    ["events", "event", "where", "format", "headers", "signing_secret", "target_url"].flatMap((key) =>
      blanks.map((blank) => [key, blank] as const),
    ),
  )("%s: %j is as if left out", async (key, blank) => {
    const { send, hookRequests } = createTestApi();
    const response = await send("POST", "/v1/hooks", { url, [key]: blank });
    expect([response.status, (response.body as { ignored: unknown }).ignored]).toEqual([201, []]);
    expect(hookRequests).toEqual([
      { url, urlKey: "url", filter: { names: null, where: [] }, format: null, request: null, headers: null, signingSecret: null },
    ]);
  });

  test.each([
    [
      { url: "", targetUrl: url, events: [], event: "terminal" },
      { url, urlKey: "targetUrl", filter: { names: ["terminal"], where: [] } },
    ],
    [
      { url: null, hookUrl: url, events: "", event: ["terminal"] },
      { url, urlKey: "hookUrl", filter: { names: ["terminal"], where: [] } },
    ],
    [
      { url, events: ["terminal"], event: "" },
      { url, urlKey: "url", filter: { names: ["terminal"], where: [] } },
    ],
    [
      { url, events: ["", "terminal", null, " "] },
      { url, urlKey: "url", filter: { names: ["terminal"], where: [] } },
    ],
    [
      { url, event: ["call.success", ""] },
      { url, urlKey: "url", filter: { names: ["call.success"], where: [] } },
    ],
  ])("what is blank in %j yields to what is not", async (body, request) => {
    const { send, hookRequests } = createTestApi();
    const response = await send("POST", "/v1/hooks", body);
    expect([response.status, (response.body as { ignored: unknown }).ignored]).toEqual([201, []]);
    expect(hookRequests).toEqual([expect.objectContaining(request)]);
  });

  test("a refused address is shown where it was written", async () => {
    const { send } = createTestApi({
      registration: {
        registerHook: async (_account, { urlKey }) => ({
          kind: "invalid",
          slug: "blocked-address",
          errors: [{ pointer: `/${urlKey}`, detail: "not public" }],
        }),
      },
    });
    const response = await send("POST", "/v1/hooks", { hookUrl: "https://127.0.0.1/" });
    expect(problemOf(response)).toMatchObject({
      status: 422,
      type: "urn:ringback:problem:blocked-address",
      errors: [{ pointer: "/hookUrl" }],
    });
  });
});

test.each(["hk_1", "hk_never", "hk_1kw4kg04000"])("DELETE of %s is 204, known or not", async (id) => {
  const { send } = createTestApi();
  expect((await send("DELETE", `/v1/hooks/${id}`)).status).toBe(204);
});

test.each(["undefined", "null", "%7B%7Bbundle.id%7D%7D", "wch_1kw4kg04000", "hk_", "hk_%00", "hk_a.b", "1kw4kg04000", "HK_1"])(
  "DELETE of what cannot be a hook's id is 404: %s",
  async (id) => {
    const { send } = createTestApi();
    const answer = await send("DELETE", `/v1/hooks/${id}`);
    expect(answer).toMatchObject({ status: 404, body: { type: "urn:ringback:problem:not-found" } });
  },
);

test("what is listed shows no secret", async () => {
  const { send } = createTestApi();
  expect((await send("GET", "/v1/hooks")).body).toMatchObject({
    data: [{ id: "hk_1", secret: null, ignored: [] }],
    next_cursor: null,
  });
  expect((await send("GET", "/v1/hooks/hk_1")).body).toMatchObject({ id: "hk_1", secret: null });
});

const sampleOf = <T = object>({ body }: Answer) => body as unknown as readonly T[];
const typesOf = (answer: Answer) => sampleOf<{ type: string }>(answer).map(({ type }) => type);

describe("GET /v1/hooks/sample", () => {
  const liveKeys =
    "id type timestamp watch_id call_sid source status previous_status reason terminal sequence observed_at observed_after metadata_lead_id".split(
      " ",
    );

  test("the account's own events come first, flat", async () => {
    const { send } = createTestApi({ store: { listRecentEvents: async () => [callEvent()] } });
    const sample = sampleOf(await send("GET", "/v1/hooks/sample"));
    expect(sample).toHaveLength(1);
    expect(Object.keys(sample[0] ?? {})).toEqual(liveKeys);
  });

  test("made-up ones have the same keys", async () => {
    const { send } = createTestApi();
    const sample = sampleOf(await send("GET", "/v1/hooks/sample"));
    expect(sample).toHaveLength(3);
    for (const event of sample) expect(Object.keys(event)).toEqual(liveKeys);
  });

  test("the newest success and the newest failure come first", async () => {
    const events = [
      callEvent({}, { id: "evt_5", type: "call.calling" }),
      callEvent({}, { id: "evt_4", type: "call.failure" }),
      callEvent({}, { id: "evt_3", type: "call.failure" }),
      callEvent({}, { id: "evt_2", type: "call.queued" }),
      callEvent({}, { id: "evt_1", type: "call.success" }),
    ];
    const { send } = createTestApi({
      store: {
        listRecentEvents: async ({ types, limit }) => events.filter(({ type }) => types?.includes(type) !== false).slice(0, limit),
      },
    });
    const idsOf = async (query: string) => sampleOf<{ id: string }>(await send("GET", `/v1/hooks/sample${query}`)).map(({ id }) => id);
    expect(await idsOf("")).toEqual(["evt_1", "evt_4", "evt_5"]);
    expect(await idsOf("?limit=200")).toEqual(["evt_1", "evt_4", "evt_5", "evt_3", "evt_2"]);
    expect(await idsOf("?limit=1")).toEqual(["evt_1"]);
    expect(await idsOf("?event=call.failure")).toEqual(["evt_4", "evt_3"]);
    expect(await idsOf("?event=call.queued,call.calling")).toEqual(["evt_5", "evt_2"]);
  });

  test.each([
    ["?event=", ["call.success", "call.failure", "call.calling"]],
    ["?event=%20&limit=", ["call.success", "call.failure", "call.calling"]],
    ["?event=,&limit=2", ["call.success", "call.failure"]],
    ["?event=call.failure,&limit=3", ["call.failure"]],
    ["?event=call.failure&limit=3", ["call.failure"]],
    ["?event=terminal&limit=2", ["call.success", "call.failure"]],
    ["?event=watch.*&limit=200", ["watch.not_found", "watch.lost", "watch.rejected", "watch.expired"]],
    ["?event=source.suspended,call.queued", ["call.queued", "source.suspended"]],
    ["?event=endpoint.disabled", ["endpoint.disabled"]],
    ["?event=delivery.exhausted", ["delivery.exhausted"]],
    ["?limit=1", ["call.success"]],
  ])("%s is %j", async (query, types) => {
    const { send } = createTestApi();
    expect(typesOf(await send("GET", `/v1/hooks/sample${query}`))).toEqual(types);
  });
});

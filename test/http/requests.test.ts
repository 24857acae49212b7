import { describe, expect, test } from "vitest";
import { CursorInvalidError, StoreOverloadedError, StoreUnavailableError } from "../../src/domain/errors.ts";
import { apiKey, createTestApi } from "./test-api.ts";
import { faultsOf, problemOf } from "../harness/service/client.ts";
import { account } from "./views.ts";

const watch = { call_sid: "OUT-1", callback_url: "https://crm.example.com/hooks/calls" };

const refuse = () => Promise.reject(new CursorInvalidError());

describe("who asks", () => {
  test.each([
    ["Authorization", { authorization: `Bearer ${apiKey}` }],
    ["authorization in lower case", { authorization: `bearer ${apiKey}` }],
    ["X-API-Key", { "x-api-key": apiKey }],
    ["X-API-Key beside a gateway's own scheme", { authorization: "Basic Zm9vOmJhcg==", "x-api-key": apiKey }],
  ])("a key is read from %s", async (_name, headers) => {
    const { request } = createTestApi();
    expect((await request("/v1/me", { headers })).status).toBe(200);
  });

  test.each([
    ["no key", {}],
    ["an unknown one", { authorization: "Bearer rb_unknown" }],
    ["an empty one", { "x-api-key": "" }],
    ["one too long to be one", { "x-api-key": "x".repeat(513) }],
  ])("%s is 401 and says how to send one", async (_name, headers: Record<string, string>) => {
    const { request } = createTestApi();
    const response = await request("/v1/watches/wch_1", { headers });
    expect(response.status).toBe(401);
    expect(response.headers["www-authenticate"]).toMatch(/^Bearer/);
    expect(problemOf(response)).toMatchObject({ type: "urn:ringback:problem:unauthorized", status: 401 });
  });

  test.each<[Record<string, string>, string]>([
    [{}, "missing"],
    [{ "x-api-key": " " }, "missing"],
    [{ authorization: "Basic Zm9vOmJhcg==" }, "missing"],
    [{ authorization: apiKey }, "missing"],
    [{ authorization: "Bearer" }, "missing"],
    [{ authorization: "Bearer rb_unknown" }, "unknown or was revoked"],
    [{ "x-api-key": "rb_unknown" }, "unknown or was revoked"],
    [{ "x-api-key": "x".repeat(513) }, "unknown or was revoked"],
    [{ authorization: "Bearer rb_unknown", "x-api-key": "rb_unknown" }, "unknown or was revoked"],
    [{ authorization: "Bearer rb_unknown", "x-api-key": apiKey }, "different keys"],
    [{ authorization: "Bearer rb_unknown", "x-api-key": "rb_other" }, "different keys"],
  ])("%j is a 401 that says so", async (headers, words) => {
    const { request } = createTestApi();
    const { status, detail } = problemOf(await request("/v1/me", { headers }));
    expect(status).toBe(401);
    for (const each of ["missing", "unknown or was revoked", "different keys"]) {
      const expected = each === words || (each === "unknown or was revoked" && words === "different keys");
      expect([each, detail.includes(each)]).toEqual([each, expected]);
    }
    for (const key of ["rb_", "Zm9v", "xxx"]) expect(detail).not.toContain(key);
  });

  test("GET / leads to the reference and to the dashboard, without a key", async () => {
    const { request } = createTestApi();
    for (const path of ["/", "/?utm_source=mail"]) {
      const { status, headers, text } = await request(path);
      expect([status, headers["content-type"]]).toEqual([200, "text/html; charset=UTF-8"]);
      for (const target of ["/docs", "/dashboard", "/openapi.json"]) expect(text).toContain(`href="${target}"`);
      expect(headers["content-security-policy"]).toMatch(/^default-src 'none'/);
    }
  });

  test.each(["/healthz", "/readyz", "/openapi.json", "/docs", "/"])("%s needs no key", async (path) => {
    const { request } = createTestApi();
    expect((await request(path)).status).toBe(200);
  });
});

describe("request ids", () => {
  test("a sane one of the client's is answered, in the problem too", async () => {
    const { send } = createTestApi();
    const response = await send("GET", "/v1/watches/wch_2", undefined, { "x-request-id": "job-7_a.b" });
    expect(response.headers["x-request-id"]).toBe("job-7_a.b");
    expect(problemOf(response).request_id).toBe("job-7_a.b");
  });

  test.each(["", "x".repeat(129), "a b", "é", "a,b"])("instead of %j one is made", async (id) => {
    const { send } = createTestApi();
    const response = await send("GET", "/v1/me", undefined, { "x-request-id": id });
    expect(response.headers["x-request-id"]).toMatch(/^[0-9a-f-]{36}$/);
  });

  test.each([
    ["GET", "/v1/me"],
    ["GET", "/nowhere"],
    ["PUT", "/v1/watches"],
    ["DELETE", "/v1/watches/wch_1"],
    ["GET", "/docs"],
  ])("%s %s carries one", async (method, path) => {
    const { send } = createTestApi();
    expect((await send(method, path)).headers["x-request-id"]).toMatch(/./);
  });
});

describe("outside /v1", () => {
  test.each([
    "/readyz?x=1",
    "/healthz?x=1",
    "/healthz?x=1&x=2",
    "/healthz?%zz",
    "/openapi.json?v=2",
    "/docs?x",
    "/docs?utm_source=mail&utm_source=chat",
    "/healthz/",
    "/readyz/",
    "/readyz/?x=1",
  ])("%s is answered as without the query and the slash", async (path) => {
    const { request, answered } = createTestApi();
    const plain = path.replace(/\/?(?:\?.*)?$/, "");
    expect((await request(path)).status).toBe(200);
    expect(answered).toEqual([{ route: plain, status: 200 }]);
  });

  test.each(["/docs/", "/openapi.json/", "/healthz//", "/v1/me/"])("%s is still unknown", async (path) => {
    const { send } = createTestApi();
    expect((await send("GET", path)).status).toBe(404);
  });
});

describe("OPTIONS", () => {
  test.each([
    ["/v1/watches", "GET, HEAD, POST"],
    ["/v1/watches/wch_1", "GET, HEAD, DELETE, PATCH"],
    ["/v1/me/signing-secret?x=1", "PUT"],
    ["/v1/watches/batch", "POST"],
    ["/healthz", "GET, HEAD"],
    ["/readyz/", "GET, HEAD"],
    ["/docs", "GET, HEAD"],
    ["/dashboard", "GET, HEAD"],
    ["/dashboard/watches", "GET, HEAD, POST"],
    ["/dashboard/sign-out", "POST"],
  ])("%s without a key is 405 and says what is allowed", async (path, allowed) => {
    const { request } = createTestApi();
    const headers = { origin: "https://elsewhere.example", "access-control-request-method": "POST" };
    const response = await request(path, { method: "OPTIONS", headers });
    expect(response.status).toBe(405);
    expect(String(response.headers["allow"]).split(", ").toSorted()).toEqual(allowed.split(", ").toSorted());
  });

  test("of a path that does not exist is 404", async () => {
    const { request } = createTestApi();
    expect((await request("/v1/nothing", { method: "OPTIONS" })).status).toBe(404);
  });
});

describe("what is not there", () => {
  test("an unknown path is 404", async () => {
    const { send } = createTestApi();
    const response = await send("GET", "/v1/nothing");
    expect(response.status).toBe(404);
    expect(response.headers["content-type"]).toBe("application/problem+json");
  });

  test.each([
    ["PUT", "/v1/watches", "GET, HEAD, POST"],
    ["POST", "/v1/watches/wch_1", "GET, HEAD, DELETE, PATCH"],
    ["OPTIONS", "/v1/endpoints/ep_1", "GET, HEAD, PATCH"],
    ["DELETE", "/v1/me/signing-secret", "PUT"],
    ["POST", "/healthz", "GET, HEAD"],
    // Paths that a template with a parameter matches as well.
    ["GET", "/v1/watches/batch", "POST"],
    ["HEAD", "/v1/watches/batch", "POST"],
    ["DELETE", "/v1/watches/batch", "POST"],
    ["PUT", "/v1/watches/batch", "POST"],
    ["DELETE", "/v1/hooks/sample", "GET, HEAD"],
  ])("%s %s is 405 and says what is allowed", async (method, path, allowed) => {
    const { send } = createTestApi();
    const response = await send(method, path);
    expect(response.status).toBe(405);
    expect(String(response.headers["allow"]).split(", ").toSorted()).toEqual(allowed.split(", ").toSorted());
  });

  test("HEAD is GET without a body", async () => {
    const { send, answered } = createTestApi();
    const response = await send("HEAD", "/v1/watches/wch_1");
    expect(response.status).toBe(200);
    expect(response.text).toBe("");
    expect(answered).toEqual([{ route: "/v1/watches/:id", status: 200 }]);
  });

  test.each([
    ["GET", "/v1/watches/wch_2"],
    ["DELETE", "/v1/watches/wch_2"],
    ["GET", "/v1/watches/wch_2/events"],
    ["GET", "/v1/events/evt_2"],
    ["GET", "/v1/calls/OUT-2"],
    ["GET", "/v1/calls/OUT-1?source=sandbox"],
    ["GET", "/v1/hooks/hk_2"],
    ["GET", "/v1/endpoints/ep_2"],
    ["POST", "/v1/endpoints/ep_2/test"],
    ["POST", "/v1/endpoints/ep_2/rotate-secret"],
    ["GET", "/v1/deliveries/dlv_2"],
    ["POST", "/v1/deliveries/dlv_2/retry"],
    ["GET", "/v1/watches/%00%zz"],
    ["GET", "/v1/watches/wch_%00"],
    ["DELETE", "/v1/watches/ep_1"],
    ["GET", "/v1/watches/watch/events"],
    ["GET", "/v1/events/evt_a.b"],
    ["GET", "/v1/calls/nope"],
    ["GET", "/v1/hooks/wch_1"],
    ["GET", "/v1/endpoints/%20"],
    ["POST", "/v1/endpoints/ep_1%2F/test"],
    ["POST", "/v1/endpoints/x/rotate-secret"],
    ["GET", `/v1/deliveries/dlv_${"1".repeat(65)}`],
    ["POST", "/v1/deliveries/1/retry"],
  ])("%s %s is 404", async (method, path) => {
    const { send } = createTestApi();
    const response = await send(method, path);
    expect(response.status).toBe(404);
    expect(problemOf(response)).toMatchObject({ type: "urn:ringback:problem:not-found", status: 404 });
  });
});

const membersOf = (count: number) => `{${Array.from({ length: count }, (_, index) => `"k${index}":0`).join(",")}}`;

describe("bodies", () => {
  test.each([
    ["nothing", "", 400],
    ["half of an object", '{"call_sid":', 400],
    ["two values", "{} {}", 400],
    ["no object", "[]", 422],
    ["null", "null", 422],
    ["depth", "[".repeat(400_000), 422],
    ["depth that never was", "[".repeat(20), 400],
    ["brackets in a text, beside quotes", `{"call_sid":"${'\\\\[\\"['.repeat(1000)}"`, 400],
    ["balanced depth", "[".repeat(400_000) + "]".repeat(400_000), 422],
    ["depth inside a field", `{"call_sid":"OUT-1","metadata":${"[".repeat(400_000)}${"]".repeat(400_000)}}`, 422],
  ])("%s is refused", async (_name, body, status) => {
    const { send, logged } = createTestApi();
    const response = await send("POST", "/v1/watches", body);
    expect(response.status).toBe(status);
    expect(logged.filter(({ level }) => level === "error")).toEqual([]);
  });

  test("what is not UTF-8 is 400", async () => {
    const { request } = createTestApi();
    const body = Buffer.from('{"call_sid":"OUT-1","metadata":{"name":"J\xf6rg"}}', "latin1");
    const headers = { "x-api-key": apiKey, "content-type": "application/json" };
    expect((await request("/v1/watches", { method: "POST", headers, body })).status).toBe(400);
  });

  test.each([
    ["another type", { "content-type": "application/x-www-form-urlencoded" }],
    ["a compressed one", { "content-type": "application/json", "content-encoding": "gzip" }],
  ])("%s is 415 and says what to send", async (_name, headers) => {
    const { send } = createTestApi();
    const response = await send("POST", "/v1/watches", watch, headers);
    expect(response.status).toBe(415);
    expect(problemOf(response).detail).toContain("content-type: application/json");
  });

  test("a charset and capitals do no harm", async () => {
    const { send } = createTestApi();
    expect((await send("POST", "/v1/watches", watch, { "content-type": "Application/JSON; charset=utf-8" })).status).toBe(201);
  });

  test("no type with no body is a missing body, not a wrong type", async () => {
    const { send } = createTestApi();
    expect((await send("POST", "/v1/watches")).status).toBe(400);
  });

  test.each([
    ["/v1/watches", 1],
    ["/v1/watches/batch", 4],
  ])("over the limit of %s is 413, with and without a length announced", async (path, mebibytes) => {
    const { request, send } = createTestApi();
    const body = "[".repeat(mebibytes * 1024 * 1024 + 1);
    const announced = await send("POST", path, "[", { "content-length": String(body.length) });
    const headers = { "x-api-key": apiKey, "content-type": "application/json" };
    const chunked = await request(path, { method: "POST", headers, body: new Blob([body]).stream(), duplex: "half" } as RequestInit);
    expect([announced.status, chunked.status]).toEqual([413, 413]);
    const within = await send("POST", path, " ".repeat(mebibytes * 1024 * 1024 - 2) + "{}");
    expect(within.status).toBe(422);
  });

  test("an operation that reads none refuses a large one all the same", async () => {
    const { send } = createTestApi();
    expect((await send("POST", "/v1/endpoints/ep_1/test", "{}", { "content-length": "1048577" })).status).toBe(413);
  });

  test("a body that breaks off is the client's fault", async () => {
    const { request, logged } = createTestApi();
    const body = new ReadableStream({ pull: (controller) => controller.error(new Error("reset")) });
    const headers = { "x-api-key": apiKey, "content-type": "application/json" };
    const response = await request("/v1/watches", { method: "POST", headers, body, duplex: "half" } as RequestInit);
    expect(response.status).toBe(400);
    expect(logged.filter(({ level }) => level === "error")).toEqual([]);
  });

  test.each([
    ['{"call_sid":"OUT-1","callback_url":"https://a.example/","__proto__":{"events":null}}', "/__proto__"],
    ['{"call_sid":"OUT-1","callback_url":"https://a.example/","constructor":1}', "/constructor"],
    ['{"call_sid":"OUT-1","callback_url":"https://a.example/","a/b~c":1}', "/a~1b~0c"],
    ['{"call_sid":"OUT-1","callback_url":"https://a.example/","metadata":{"__proto__":"x"}}', "/metadata/__proto__"],
    ['{"call_sid":"OUT-1","callback_url":"https://a.example/","headers":{"__proto__":"x"}}', "/headers/__proto__"],
  ])("an unknown key is named: %s", async (body, pointer) => {
    const { send } = createTestApi();
    const response = await send("POST", "/v1/watches", body);
    expect(response.status).toBe(422);
    expect(faultsOf(response)).toEqual([pointer]);
  });

  test("of a key given twice the last counts", async () => {
    const { send, watchRequests } = createTestApi();
    await send("POST", "/v1/watches", '{"call_sid":"OUT-1","call_sid":"OUT-2","callback_url":"https://a.example/"}');
    expect(watchRequests[0]?.[0]?.callSid).toBe("OUT-2");
  });

  test.each([
    ["/v1/hooks", (deep: string) => `{"url":"https://a.example/","unread":${deep}}`],
    ["/v1/watches/batch", (deep: string) => `{"watches":[${deep}]}`],
    ["/v1/templates/preview", (deep: string) => `{"request":{"method":"PUT","body":${deep}}}`],
    ["/mcp", (deep: string) => `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"deep":${deep}}}`],
  ])("what nests without end is refused before it is parsed: %s", async (path, bodyOf) => {
    const { send, logged } = createTestApi();
    const deep = (levels: number) => bodyOf("[".repeat(levels) + "]".repeat(levels));
    for (const levels of [128, 5000]) {
      const response = await send("POST", path, deep(levels), { "idempotency-key": `deep-${levels}` });
      expect([levels, response.status, problemOf(response).detail]).toEqual([levels, 422, "the body: must be nested at most 128 deep"]);
    }
    const shallow = await send("POST", path, deep(90), { "idempotency-key": "shallow" });
    expect(shallow.text).not.toContain("nested at most 128");
    expect(logged.filter(({ level }) => level === "error")).toEqual([]);
  });

  test.each([
    ["/v1/hooks", 5000],
    ["/v1/watches/batch", 100_000],
  ])("more members than any request of its kind has are refused before they are parsed: %s", async (path, most) => {
    const { send } = createTestApi();
    expect((await send("POST", path, membersOf(most))).text).not.toContain("members and items");
    const beyond = await send("POST", path, membersOf(most + 1));
    expect([beyond.status, problemOf(beyond).detail]).toEqual([422, `the body: must have at most ${most} members and items in all`]);
    // A comma in a text is none.
    expect((await send("POST", path, `{"k":"${'\\",'.repeat(most)}"}`)).text).not.toContain("members and items");
  });

  test("a large one is parsed in a turn of its account, a small one at once", async () => {
    const taken: string[] = [];
    let isHeld = true;
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const next = (accountId: string) => (taken.push(accountId), isHeld ? released : Promise.resolve());
    const { send } = createTestApi({ turns: { next } });
    const large = { ...watch, metadata: { text: "x".repeat(20_000) } };
    const answers = [send("POST", "/v1/watches", large), send("PATCH", "/v1/watches/wch_1", large)];
    expect((await send("POST", "/v1/watches", watch)).status).toBe(201);
    expect(taken).toEqual([account.id, account.id]);
    const first = await Promise.race([...answers, Promise.resolve("waiting")]);
    expect(first).toBe("waiting");
    isHeld = false;
    release();
    for (const answer of await Promise.all(answers)) expect(answer.status).toBe(422);
  });

  test.each([
    ["/v1/hooks", '{"url":"https://a.example/","where":{"__proto__":"x"}}', "/where/__proto__"],
    ["/v1/hooks", '{"url":"https://a.example/","where":{"status":{"__proto__":"x"}}}', "/where/status/__proto__"],
  ])("a key that a copy would lose is named: %s %s", async (path, body, pointer) => {
    const response = await createTestApi().send("POST", path, body, { "idempotency-key": "proto" });
    expect([response.status, faultsOf(response)]).toEqual([422, [pointer]]);
  });

  test("at most 100 faults are listed", async () => {
    const { send } = createTestApi();
    const body = Object.fromEntries(Array.from({ length: 4000 }, (_, index) => [`key_${index}_${"x".repeat(100)}`, 1]));
    const problem = problemOf(await send("POST", "/v1/watches", { ...watch, ...body }));
    expect(problem.errors).toHaveLength(100);
    expect(problem.detail.length).toBeLessThan(600);
  });
});

describe("query parameters", () => {
  test.each([
    ["/v1/watches?foo=1", "foo"],
    ["/v1/watches?__proto__=1", "__proto__"],
    ["/v1/me?x", "x"],
    ["/v1/watches?limit=0", "limit"],
    ["/v1/watches?limit=201", "limit"],
    ["/v1/watches?limit=1e1", "limit"],
    ["/v1/watches?limit=", "limit"],
    ["/v1/watches?limit=1&limit=2", "limit"],
    ["/v1/watches?status=gone", "status"],
    ["/v1/watches?call_sid=a%00", "call_sid"],
    ["/v1/watches/wch_1?wait=31", "wait"],
    ["/v1/watches/wch_1?wait=-1", "wait"],
    ["/v1/watches/wch_1?sequence=x", "sequence"],
    ["/v1/events?type=call.nothing", "type"],
    ["/v1/events?type=", "type"],
    ["/v1/events?since=yesterday", "since"],
    ["/v1/events?since=2026-02-30T00:00:00Z", "since"],
    ["/v1/deliveries?status=lost", "status"],
    ["/v1/hooks/sample?limit=0", "limit"],
    ["/v1/calls/OUT-1?source=", "source"],
    ["/v1/calls/OUT-1?source=a%00b", "source"],
    ["/v1/deliveries?endpoint_id=wch_1", "endpoint_id"],
    ["/v1/deliveries?watch_id=wch_%00", "watch_id"],
  ])("%s is 422 and names the parameter", async (path, parameter) => {
    const { send } = createTestApi();
    const response = await send("GET", path);
    expect(response.status).toBe(422);
    expect(faultsOf(response)).toEqual([parameter]);
  });

  test.each([
    ["2026-11-24T12:00:00+0200", "2026-11-24T10:00:00Z"],
    ["2026-11-24t12:00:00.5-0330", "2026-11-24T15:30:00.500Z"],
    ["2026-11-24t12:00:00z", "2026-11-24T12:00:00Z"],
    ["2026-11-24T12:00z", "2026-11-24T12:00:00Z"],
    ["2026-11-24t12:00:00+02:00", "2026-11-24T10:00:00Z"],
  ])("the time %s is taken", async (time, meant) => {
    const seen: (number | null)[] = [];
    const { send } = createTestApi({
      store: {
        readFeed: async ({ sinceMs }) => {
          seen.push(sinceMs);
          return { data: [], cursors: [], nextCursor: "1" };
        },
      },
    });
    expect((await send("GET", `/v1/events?since=${encodeURIComponent(time)}`)).status).toBe(200);
    expect(seen).toEqual([Date.parse(meant)]);
  });

  test.each(["2026-11-24T12:00:00 02:00", "2026-11-24T12:00:00.123 0200", "2026-11-24t12:00 02:00", "2026-11-24T12:00:00+02:00"])(
    "the time zone of %s, written into a URL as it is: the detail says to encode the plus",
    async (time) => {
      const { send } = createTestApi();
      const response = await send("GET", `/v1/events?since=${time}`);
      expect(response.status).toBe(422);
      expect(problemOf(response).errors).toEqual([{ parameter: "since", detail: expect.stringMatching(/blank.*percent-encode.*%2B/) }]);
    },
  );

  test.each([
    "2026-11-24 12:00:00Z",
    "2026-11-24T12:00:00",
    "2026-11-24T12:00:00+25:00",
    "2026-11-24T12:00:00-2460",
    "2026-02-30t00:00:00z",
  ])("the time %s is 422 for another reason", async (time) => {
    const { send } = createTestApi();
    const response = await send("GET", `/v1/events?since=${encodeURIComponent(time)}`);
    expect(response.status).toBe(422);
    expect(problemOf(response).detail).not.toContain("%2B");
  });

  test("an invalid cursor is an error of its parameter", async () => {
    const { send } = createTestApi({ store: { listWatches: refuse, readFeed: refuse } });
    expect(faultsOf(await send("GET", "/v1/watches?cursor=x"))).toEqual(["cursor"]);
    expect(faultsOf(await send("GET", "/v1/events?after=x"))).toEqual(["after"]);
    expect(faultsOf(await send("GET", "/v1/sources?cursor=x"))).toEqual(["cursor"]);
  });
});

describe("our own trouble", () => {
  test.each([
    ["store-unavailable", new StoreUnavailableError("disk I/O error at /data/secret.db")],
    ["store-overloaded", new StoreOverloadedError()],
  ])("%s is 503 with Retry-After", async (slug, error) => {
    const { send } = createTestApi({ registration: { registerWatch: () => Promise.reject(error) } });
    const response = await send("POST", "/v1/watches", watch);
    expect(response.status).toBe(503);
    expect(response.headers["retry-after"]).toBe("1");
    const problem = problemOf(response);
    expect(problem.type).toBe(`urn:ringback:problem:${slug}`);
    expect(JSON.stringify(problem)).not.toContain("secret.db");
  });

  test("a key that cannot be looked up is 503, not 401", async () => {
    const { send } = createTestApi({ authentication: { findByKey: () => Promise.reject(new StoreUnavailableError("gone")) } });
    expect((await send("GET", "/v1/me")).status).toBe(503);
  });

  test("a bug is 500, says nothing of itself, and is logged under the request's id", async () => {
    const { send, logged } = createTestApi({ store: { getWatch: () => Promise.reject(new TypeError("x of undefined, key hunter2")) } });
    const response = await send("GET", "/v1/watches/wch_1?wait=0", undefined, { "x-request-id": "bug-1" });
    expect(response.status).toBe(500);
    expect(response.text).not.toContain("hunter2");
    expect(logged.find(({ level }) => level === "error")?.fields).toMatchObject({ request_id: "bug-1", route: "/v1/watches/:id" });
  });

  test("not ready is 503 with why and what else is wrong", async () => {
    const { request } = createTestApi({
      live: { readiness: async () => ({ notReady: "the store cannot be written", degraded: ["source default: suspended"] }) },
    });
    const response = await request("/readyz");
    expect(response.status).toBe(503);
    expect(response.headers["retry-after"]).toBe("1");
    expect(problemOf(response)).toMatchObject({ detail: "the store cannot be written", degraded: ["source default: suspended"] });
  });

  test("trouble upstream is 200", async () => {
    const { request } = createTestApi({ live: { readiness: async () => ({ notReady: null, degraded: ["source default: suspended"] }) } });
    const response = await request("/readyz");
    expect(response.status).toBe(200);
    expect(response.body).toEqual({ ready: true, degraded: ["source default: suspended"] });
  });
});

describe("the rate of an account", () => {
  test("over it is 429 with Retry-After, and a second later all is well", async () => {
    const { send, clock } = createTestApi({ limits: { apiMaxPerSecond: 2 } });
    const statuses = [];
    for (let index = 0; index < 3; index++) statuses.push((await send("GET", "/v1/me")).status);
    expect(statuses).toEqual([200, 200, 429]);
    const refused = await send("GET", "/v1/me");
    expect(refused.headers["retry-after"]).toBe("1");
    expect(refused.headers["ratelimit-policy"]).toBe('"default";q=2;w=1');
    expect(refused.headers["ratelimit"]).toBe('"default";r=0;t=1');
    await clock.advance(1000);
    const again = await send("GET", "/v1/me");
    expect(again.status).toBe(200);
    expect(again.headers["ratelimit"]).toBe('"default";r=1;t=1');
  });

  test("0 is no limit", async () => {
    const { send } = createTestApi({ limits: { apiMaxPerSecond: 0 } });
    const statuses = await Promise.all(Array.from({ length: 50 }, async () => (await send("GET", "/v1/me")).status));
    expect(new Set(statuses)).toEqual(new Set([200]));
  });
});

test("one line and one figure per request, without a query string, an id or a key", async () => {
  const { send, logged, answered } = createTestApi();
  await send("GET", "/v1/watches?call_sid=OUT-secret-sid");
  await send("GET", "/somewhere/secret-path?token=secret");
  expect(logged.map(({ message, fields }) => [message, fields["route"], fields["status"]])).toEqual([
    ["http.answered", "/v1/watches", 200],
    ["http.answered", "unknown", 404],
  ]);
  expect(answered).toEqual([
    { route: "/v1/watches", status: 200 },
    { route: "unknown", status: 404 },
  ]);
  expect(JSON.stringify(logged)).not.toMatch(/secret|rb_/);
});

test("answers are not cached, not sniffed, and carry nothing for other origins", async () => {
  const { send } = createTestApi();
  const response = await send("GET", "/v1/me", undefined, { origin: "https://elsewhere.example" });
  expect(response.headers["cache-control"]).toBe("no-store");
  expect(response.headers["x-content-type-options"]).toBe("nosniff");
  expect(Object.keys(response.headers).filter((name) => name.startsWith("access-control"))).toEqual([]);
});

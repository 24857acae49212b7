import { describe, expect, test } from "vitest";
import { apiKey, createTestApi } from "./test-api.ts";

const modern = "2026-07-28";
const meta = { "io.modelcontextprotocol/protocolVersion": modern, "io.modelcontextprotocol/clientCapabilities": {} };

type Rpc = { readonly result?: Readonly<Record<string, unknown>>; readonly error?: { readonly code: number; readonly data?: unknown } };

/** A request of the newest revision; `headers` replaces those that it must have. */
async function post(method: string, params: object = {}, headers: Readonly<Record<string, string>> = {}, parts = {}) {
  const { name } = params as { readonly name?: string };
  const answer = await createTestApi(parts).send(
    "POST",
    "/mcp",
    { jsonrpc: "2.0", id: 1, method, params: { _meta: meta, ...params } },
    { "mcp-protocol-version": modern, "mcp-method": method, ...(name === undefined ? {} : { "mcp-name": name }), ...headers },
  );
  return { status: answer.status, rpc: answer.body as Rpc };
}

const legacy = async (message: object, headers: Readonly<Record<string, string>> = { "mcp-protocol-version": "2025-11-25" }) => {
  const answer = await createTestApi().send("POST", "/mcp", { jsonrpc: "2.0", ...message }, headers);
  return { status: answer.status, rpc: answer.body as Rpc };
};

describe("the newest revision", () => {
  test("is discovered without a handshake", async () => {
    const { status, rpc } = await post("server/discover");
    expect(status).toBe(200);
    expect(rpc.result).toMatchObject({
      resultType: "complete",
      supportedVersions: [modern, "2025-11-25"],
      capabilities: { tools: {} },
      serverInfo: { name: "ringback" },
      cacheScope: "public",
    });
  });

  test("lists five tools, each with a schema of its input", async () => {
    const { rpc } = await post("tools/list");
    const listed = rpc.result?.["tools"] as readonly { readonly name: string; readonly inputSchema: Readonly<Record<string, unknown>> }[];
    expect(listed.map(({ name }) => name)).toEqual(["place_call", "watch_call", "wait_for_call", "explain", "replay"]);
    for (const { inputSchema } of listed) expect(inputSchema).toMatchObject({ type: "object", additionalProperties: false });
    expect(listed[0]?.inputSchema["required"]).toEqual(["call", "idempotency_key"]);
    expect(rpc.result).toMatchObject({ resultType: "complete", ttlMs: 3_600_000, cacheScope: "public" });
  });

  test.each<[name: string, params: object, headers: Readonly<Record<string, string>>, method: string, code: number]>([
    ["without the header of the version", {}, { "mcp-protocol-version": "" }, "tools/list", -32_020],
    ["another version in the header", {}, { "mcp-protocol-version": "2025-11-25" }, "tools/list", -32_020],
    ["another method in the header", {}, { "mcp-method": "tools/call" }, "tools/list", -32_020],
    ["another tool in the header", { name: "explain" }, { "mcp-name": "replay" }, "tools/call", -32_020],
    [
      "without the capabilities",
      { _meta: { ...meta, "io.modelcontextprotocol/clientCapabilities": undefined } },
      {},
      "tools/list",
      -32_602,
    ],
    ["without its own version", { _meta: {} }, {}, "tools/list", -32_602],
  ])("refuses a request %s", async (_name, params, headers, method, code) => {
    const { status, rpc } = await post(method, params, headers);
    expect([status, rpc.error?.code]).toEqual([400, code]);
  });

  test("says which versions there are", async () => {
    const old = { ...meta, "io.modelcontextprotocol/protocolVersion": "1900-01-01" };
    const { status, rpc } = await post("tools/list", { _meta: old }, { "mcp-protocol-version": "1900-01-01" });
    expect([status, rpc.error]).toEqual([
      400,
      { code: -32_022, message: "Unsupported protocol version", data: { supported: [modern, "2025-11-25"], requested: "1900-01-01" } },
    ]);
  });

  test("has no method of the handshake, and 404 for what there is not", async () => {
    for (const method of ["initialize", "ping", "resources/list"]) {
      const { status, rpc } = await post(method);
      expect([status, rpc.error?.code]).toEqual([404, -32_601]);
    }
  });

  test("reads a tool's name that the header encodes", async () => {
    const encoded = `=?base64?${Buffer.from("explain").toString("base64")}?=`;
    const { rpc } = await post("tools/call", { name: "explain", arguments: { id: "wch_1" } }, { "mcp-name": encoded });
    expect(rpc.result).toMatchObject({ isError: false });
  });
});

describe("the revision before it", () => {
  test("begins with a handshake and keeps no session", async () => {
    const { status, rpc } = await legacy(
      {
        id: "a",
        method: "initialize",
        params: { protocolVersion: "2025-06-18", capabilities: {}, clientInfo: { name: "x", version: "1" } },
      },
      {},
    );
    expect([status, rpc.result?.["protocolVersion"], rpc.result?.["resultType"]]).toEqual([200, "2025-11-25", undefined]);
    const notified = await legacy({ method: "notifications/initialized" });
    expect(notified.status).toBe(202);
    expect((await legacy({ id: 2, method: "ping" })).rpc).toEqual({ jsonrpc: "2.0", id: 2, result: {} });
    expect((await legacy({ id: 3, method: "tools/list" })).rpc.result).not.toHaveProperty("ttlMs");
    expect((await legacy({ id: 4, method: "prompts/list" })).rpc.error?.code).toBe(-32_601);
  });

  test("is refused with the header of another one", async () => {
    const { status, rpc } = await legacy({ id: 1, method: "tools/list" }, { "mcp-protocol-version": "2024-11-05" });
    expect([status, rpc.error?.code]).toEqual([400, -32_022]);
  });

  test.each([[[]], [{ id: 1 }], [{ id: null, method: "ping" }], [{ id: {}, method: "ping" }], [{ jsonrpc: "1.0", id: 1, method: "ping" }]])(
    "%j is no message",
    async (message) => {
      const body = Array.isArray(message) ? message : { jsonrpc: "2.0", ...message };
      const answer = await createTestApi().send("POST", "/mcp", body);
      expect([answer.status, (answer.body as Rpc).error?.code]).toEqual([400, -32_600]);
    },
  );
});

describe("the route", () => {
  test("needs a key as everywhere", async () => {
    const { request } = createTestApi();
    const init = { method: "POST", headers: { "content-type": "application/json" }, body: '{"jsonrpc":"2.0","id":1,"method":"ping"}' };
    expect((await request("/mcp", init)).status).toBe(401);
    expect((await request("/mcp", { ...init, headers: { ...init.headers, "x-api-key": apiKey } })).status).toBe(200);
  });

  test.each<[publicUrl: string | null, origin: string, status: number]>([
    ["https://ringback.example", "https://ringback.example", 200],
    ["https://ringback.example/base/", "https://ringback.example", 200],
    ["https://ringback.example", "https://evil.example", 403],
    ["https://ringback.example", "http://ringback.example", 403],
    ["https://ringback.example", "null", 403],
    [null, "http://localhost", 403],
  ])("at %j answers the origin %s with %i", async (publicUrl, origin, status) => {
    const { send } = createTestApi({ publicUrl: publicUrl as never });
    const answer = await send("POST", "/mcp", { jsonrpc: "2.0", id: 1, method: "ping" }, { origin });
    expect(answer.status).toBe(status);
    if (status === 403) expect(answer.body).toMatchObject({ type: "urn:ringback:problem:origin-refused" });
  });

  test.each(["GET", "DELETE", "PUT"])("refuses %s", async (method) => {
    const { status, headers } = await createTestApi().send(method, "/mcp");
    expect([status, headers["allow"]]).toEqual([405, "POST"]);
  });
});

describe("tools", () => {
  test("an unknown one, and arguments that are none, are faults of the request", async () => {
    for (const params of [{ name: "hang_up" }, { name: "explain", arguments: ["wch_1"] }])
      expect((await post("tools/call", params)).rpc.error?.code).toBe(-32_602);
  });

  test.each<[name: string, input: object, text: string]>([
    ["place_call", { call: {}, idempotency_key: "a\r\nx-b: 1" }, "must be 1 to 255 visible ASCII characters"],
    ["watch_call", { call_sid: "OUT-1", callbackUrl: "x" }, "Unrecognized key"],
    ["explain", {}, "id"],
    ["explain", { id: "evt_1" }, "id must begin with wch_, dlv_ or ep_"],
    ["explain", { id: "wch_2" }, "404 Not found: "],
    ["explain", { id: "wch_../../me" }, "404 Not found: "],
    ["replay", { delivery_id: "dlv_2" }, "404 Not found: "],
    ["watch_call", { call_sid: "" }, "/call_sid: must be 1 to "],
    ["wait_for_call", { watch_id: "wch_1", wait: 31 }, "wait"],
  ])("%s with %j is refused in words", async (name, input, text) => {
    const { status, rpc } = await post("tools/call", { name, arguments: input });
    expect([status, rpc.result?.["isError"], rpc.result?.["structuredContent"]]).toEqual([200, true, undefined]);
    expect(JSON.stringify(rpc.result?.["content"])).toContain(text);
  });

  test("a watch reads the feed unless it is given a URL", async () => {
    const api = createTestApi();
    const call = (input: object) =>
      api.send("POST", "/mcp", { jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "watch_call", arguments: input } });
    await call({ call_sid: "OUT-1" });
    await call({ call_sid: "OUT-2", callback_url: "https://crm.example.com/" });
    expect(api.watchRequests.flat().map(({ callbackUrl }) => callbackUrl)).toEqual([null, "https://crm.example.com/"]);
  });
});

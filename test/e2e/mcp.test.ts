import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { expect, onTestFinished, test } from "vitest";
import { compileCache } from "../harness/run/compile-cache.ts";
import { apiKey } from "../harness/service/environment.ts";
import { ServiceWorld } from "../harness/service/service-world.ts";
import { second } from "../harness/store-drafts.ts";

const root = new URL("../..", import.meta.url);
const modern = "2026-07-28";
const meta = { "io.modelcontextprotocol/protocolVersion": modern, "io.modelcontextprotocol/clientCapabilities": {} };

type Result = {
  readonly isError: boolean;
  readonly structuredContent: Readonly<Record<string, unknown>>;
  readonly content: { readonly text: string }[];
};
type Transport = (name: string, input: object) => Promise<Result>;

/** The newest revision over HTTP. */
function overHttp({ client }: ServiceWorld): Transport {
  let id = 0;
  return async (name, input) => {
    const message = { jsonrpc: "2.0", id: ++id, method: "tools/call", params: { name, arguments: input, _meta: meta } };
    const headers = { "mcp-protocol-version": modern, "mcp-method": "tools/call", "mcp-name": name };
    const { status, body } = await client.send("POST", "/mcp", message, headers);
    expect([status, (body as { readonly id: number }).id]).toEqual([200, id]);
    return (body as unknown as { readonly result: Result }).result;
  };
}

/** The revision before it over the standard input and output of the command, after a handshake. */
async function overStandardInput({ service }: ServiceWorld): Promise<Transport> {
  const child = spawn(
    process.execPath,
    ["--import", "./src/runtime-check.mjs", "src/cli/ringback.ts", "mcp", "--url", service.url, "--key-env", "MY_KEY"],
    {
      cwd: root,
      env: { ...compileCache, MY_KEY: apiKey },
      stdio: ["pipe", "pipe", "inherit"],
    },
  );
  onTestFinished(async () => {
    child.stdin.end();
    const [code] = (await once(child, "close")) as [number];
    expect(code).toBe(0);
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  let id = 0;
  const ask = async (method: string, params: object) => {
    child.stdin.write(`${JSON.stringify({ jsonrpc: "2.0", id: ++id, method, params })}\n`);
    const { value } = (await lines.next()) as { readonly value: string };
    const answer = JSON.parse(value) as { readonly id: number; readonly result: unknown };
    expect(answer.id).toBe(id);
    return answer.result;
  };
  expect(
    await ask("initialize", { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "t", version: "1" } }),
  ).toMatchObject({
    protocolVersion: "2025-11-25",
  });
  child.stdin.write('{"jsonrpc":"2.0","method":"notifications/initialized"}\nno message\n');
  expect(JSON.parse(((await lines.next()) as { readonly value: string }).value)).toMatchObject({ error: { code: -32_600 } });
  return (name, input) => ask("tools/call", { name, arguments: input }) as Promise<Result>;
}

test.each([
  ["HTTP", overHttp],
  ["standard input and output", overStandardInput],
])("the five tools work over %s", async (_name, connect) => {
  const world = await ServiceWorld.start();
  const receiver = await world.receive();
  const call = await connect(world);

  const place = { source: "sandbox", call: { scenario: "slow" }, idempotency_key: "lead-1", callback_url: receiver.url() };
  const placed = await call("place_call", place);
  expect(placed).toMatchObject({ isError: false, structuredContent: { status: "active", source: "sandbox" } });
  expect((await call("place_call", place)).structuredContent["id"]).toBe(placed.structuredContent["id"]);
  const refused = await call("place_call", { ...place, call: { scenario: "failure" } });
  expect([refused.isError, refused.content[0]?.text]).toEqual([true, expect.stringContaining("422 ")]);

  const watched = await call("watch_call", { source: "sandbox", call_sid: placed.structuredContent["call_sid"] });
  expect(watched).toMatchObject({ isError: false, structuredContent: { callback_url: null } });
  const id = String(watched.structuredContent["id"]);
  expect(await call("wait_for_call", { watch_id: id, wait: 0 })).toMatchObject({ structuredContent: { status: "active" } });
  const ended = call("wait_for_call", { watch_id: id });
  await world.pass(13 * second);
  expect(await ended).toMatchObject({ structuredContent: { id, status: "completed", call: { status: "success" } } });

  const [delivery] = await world.deliveriesOf(`watch_id=${String(placed.structuredContent["id"])}`);
  const explained = await call("explain", { id: delivery?.id });
  expect(explained).toMatchObject({ isError: false, structuredContent: { id: delivery?.id, status: "delivered" } });
  expect(explained.content[0]?.text.split("\n")[0]).toBe(explained.structuredContent["explain"]);
  const before = receiver.received.length;
  expect(await call("replay", { delivery_id: delivery?.id })).toMatchObject({ isError: false });
  await receiver.arrived(before + 1);
  const audit = await world.client.list("/v1/audit");
  expect(audit.map((row) => (row as { readonly address: unknown }).address)).toEqual(["127.0.0.1", "127.0.0.1"]);
});

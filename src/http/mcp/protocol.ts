import { z } from "@hono/zod-openapi";
import type { ApiClient, JsonObject } from "./api-client.ts";
import { tools, unreachable } from "./tools.ts";

/** Revisions of the Model Context Protocol, the newest first. From the newest on, every request names its revision. */
export const protocolVersions = ["2026-07-28", "2025-11-25"] as const;
const [newest, handshake] = protocolVersions;

const versionKey = "io.modelcontextprotocol/protocolVersion";
const capabilitiesKey = "io.modelcontextprotocol/clientCapabilities";
const listTtlMs = 3_600_000;

export const errorCodes = {
  invalidRequest: -32_600,
  methodNotFound: -32_601,
  invalidParams: -32_602,
  headerMismatch: -32_020,
  unsupportedVersion: -32_022,
} as const;

const messageSchema = z.looseObject({
  jsonrpc: z.literal("2.0"),
  id: z.union([z.string(), z.int()]).optional(),
  method: z.string(),
  params: z.looseObject({ _meta: z.looseObject({}).optional() }).optional(),
});
export type Message = z.infer<typeof messageSchema>;

/** Answer to a request. `status` is that of HTTP. */
export type Reply = { readonly status: number; readonly body: JsonObject };

/** Reads a message of JSON-RPC; `null` if the value is none that a client may send. */
export function readMessage(value: unknown): Message | null {
  const parsed = messageSchema.safeParse(value);
  return parsed.success ? parsed.data : null;
}

export function errorReply(status: number, id: Message["id"], code: number, message: string, data?: JsonObject): Reply {
  const body = { jsonrpc: "2.0", ...(id === undefined ? {} : { id }), error: { code, message, ...(data === undefined ? {} : { data }) } };
  return { status, body };
}

/** Returns the revision that a request names itself; `null` if it belongs to a handshake. */
export function namedVersion({ params }: Message): string | null {
  const { _meta: meta } = params ?? {};
  const version = meta?.[versionKey];
  return typeof version === "string" ? version : null;
}

export function unsupportedVersion(id: Message["id"], requested: string): Reply {
  return errorReply(400, id, errorCodes.unsupportedVersion, "Unsupported protocol version", {
    supported: [...protocolVersions],
    requested,
  });
}

/** Facts about the server, for `initialize` and `server/discover`. */
export type ServerFacts = { readonly version: string };

const capabilities = { tools: {} };
const instructions =
  "Watches outbound telephone calls. Place or watch a call, then wait for its end. Every answer of `explain` says what is waited for. Placing dials a real number unless the source is `sandbox`.";

/**
 * Answers a request. The revision decides the shape of results: a request that names the newest one needs no handshake. Rejects
 * only if the signal aborts.
 */
export async function answerRequest(message: Message, { version }: ServerFacts, api: ApiClient, signal: AbortSignal): Promise<Reply> {
  const { id, method } = message;
  const { _meta: meta } = message.params ?? {};
  const named = namedVersion(message);
  if (named !== null && !(protocolVersions as readonly string[]).includes(named)) return unsupportedVersion(id, named);
  const isModern = named === newest;
  if (isModern && (typeof meta?.[capabilitiesKey] !== "object" || meta[capabilitiesKey] === null))
    return errorReply(400, id, errorCodes.invalidParams, `_meta must have ${capabilitiesKey}, an object`);
  const complete = (result: JsonObject): Reply => ({
    status: 200,
    body: { jsonrpc: "2.0", id, result: { ...(isModern ? { resultType: "complete" } : {}), ...result } },
  });
  const cached = isModern ? { ttlMs: listTtlMs, cacheScope: "public" } : {};
  const serverInfo = { name: "ringback", title: "Ringback", version };
  switch (method) {
    case "tools/list":
      return complete({ tools: [...tools.values()].map(({ shown }) => shown), ...cached });
    case "tools/call":
      return callTool(message, complete, api, signal);
    case "server/discover":
      if (isModern) return complete({ supportedVersions: [...protocolVersions], capabilities, serverInfo, instructions, ...cached });
      break;
    case "initialize":
      if (!isModern) return complete({ protocolVersion: handshake, capabilities, serverInfo, instructions });
      break;
    case "ping":
      if (!isModern) return complete({});
      break;
    default:
  }
  return errorReply(isModern ? 404 : 200, id, errorCodes.methodNotFound, `Method not found: ${method.slice(0, 100)}`);
}

async function callTool(
  { id, params }: Message,
  complete: (result: JsonObject) => Reply,
  api: ApiClient,
  signal: AbortSignal,
): Promise<Reply> {
  const { name, arguments: input = {} } = params ?? {};
  const called = typeof name === "string" ? tools.get(name) : undefined;
  if (called === undefined)
    return errorReply(
      200,
      id,
      errorCodes.invalidParams,
      `Unknown tool: ${String(name).slice(0, 100)}; there are ${[...tools.keys()].join(", ")}`,
    );
  if (typeof input !== "object" || input === null || Array.isArray(input))
    return errorReply(200, id, errorCodes.invalidParams, "arguments must be an object");
  try {
    return complete(await called.call(input, api, signal));
  } catch (error) {
    if (signal.aborted) throw error;
    return complete(unreachable(error));
  }
}

import { z } from "@hono/zod-openapi";
import type { OpenAPIHono } from "@hono/zod-openapi";
import type { Context, MiddlewareHandler } from "hono";
import { peerOf } from "../operations/actor.ts";
import type { Env, HttpDependencies } from "../operations/dependencies.ts";
import { addOperation, defineOperation } from "../operations/operation.ts";
import { ProblemError } from "../operations/problem.ts";
import type { ApiClient, JsonObject } from "./api-client.ts";
import { answerRequest, errorCodes, errorReply, namedVersion, protocolVersions, readMessage, unsupportedVersion } from "./protocol.ts";
import type { Message, Reply } from "./protocol.ts";

const [newest] = protocolVersions;
const versionHeader = "mcp-protocol-version";

const messageExample = { jsonrpc: "2.0", id: 1, method: "tools/list", params: {} };
const answerSchema = z
  .object({
    jsonrpc: z.literal("2.0").openapi({ description: "Version of JSON-RPC." }),
    id: z.union([z.string(), z.int()]).optional().openapi({ description: "Id of the request." }),
  })
  .catchall(z.unknown())
  .openapi("McpAnswer", {
    description: "Answer of JSON-RPC 2.0, with `result` or `error`.",
    example: { jsonrpc: "2.0", id: 1, result: {} },
  });
const answer = { schema: answerSchema, example: { jsonrpc: "2.0", id: 1, result: {} } };

const postMessage = defineOperation({
  method: "post",
  withoutKey: true,
  scope: "read",
  path: "/mcp",
  operationId: "sendMcpMessage",
  tag: "Account",
  summary: "Model Context Protocol",
  description: `Streamable HTTP without sessions, revisions ${protocolVersions.join(" and ")}: one message of JSON-RPC for each request, answered as JSON. An \`Idempotency-Key\` is not read, because clients of the protocol send none and an answer carries the id of its message; \`place_call\` has an \`idempotency_key\` of its own, and the other tools may be repeated. Tools: place_call, watch_call, wait_for_call, explain and replay. Each needs what its route needs.`,
  body: z.unknown().openapi({ type: "object", description: "Message of JSON-RPC 2.0.", example: messageExample }),
  answers: {
    200: { description: "The result, or an error of JSON-RPC.", ...answer },
    202: { description: "A notification was accepted." },
    400: { description: "The message, its headers or its revision is wrong.", ...answer },
    404: { description: "There is no such method.", ...answer },
  },
  problems: ["origin-refused"],
});

/** Refuses a page of another origin, which a browser could send here with the reach of its user (DNS rebinding). */
function refuseOrigins(publicUrl: string | null): MiddlewareHandler<Env> {
  const own = publicUrl === null ? null : new URL(publicUrl).origin;
  return async (c, next) => {
    const origin = c.req.header("origin");
    if (origin !== undefined && origin !== own) throw new ProblemError({ slug: "origin-refused" });
    await next();
  };
}

/** Route of the Model Context Protocol. A tool is a request to the app itself with the same key, so scopes, limits and checks are those of its route. */
export function addMcpRoute(
  app: OpenAPIHono<Env>,
  { publicUrl, version }: HttpDependencies,
  guards: readonly MiddlewareHandler<Env>[],
): void {
  // Another method is answered 405 without a key.
  const ofPosts = [refuseOrigins(publicUrl), ...guards].map(
    (guard): MiddlewareHandler<Env> =>
      (c, next) =>
        c.req.method === "POST" ? guard(c, next) : next(),
  );
  app.use("/mcp", ...ofPosts);
  addOperation(app, postMessage, async (c, { body }) => {
    const message = readMessage(body);
    if (message === null)
      return send(c, errorReply(400, undefined, errorCodes.invalidRequest, "Not one request or notification of JSON-RPC 2.0"));
    const fault = headerFault(c, message);
    if (fault !== null) return send(c, fault);
    if (message.id === undefined) return c.body(null, 202);
    return send(c, await answerRequest(message, { version }, apiOf(app, c), c.req.raw.signal));
  });
}

function send(c: Context, { status, body }: Reply): Response {
  return c.json(body, status as 200);
}

/** Returns what is wrong with the headers that repeat parts of the message; `null` if nothing is. The revisions with a handshake repeat the version alone. */
function headerFault(c: Context, message: Message): Reply | null {
  const { id, method, params } = message;
  const version = c.req.header(versionHeader);
  const named = namedVersion(message);
  const mismatch = (what: string) => errorReply(400, id, errorCodes.headerMismatch, `Header mismatch: ${what}`);
  if (named === null) {
    if (version === newest) return errorReply(400, id, errorCodes.invalidParams, "_meta must have io.modelcontextprotocol/protocolVersion");
    return version === undefined || version === protocolVersions[1] ? null : unsupportedVersion(id, version.slice(0, 100));
  }
  if (version !== named) return mismatch("MCP-Protocol-Version is not the version in _meta");
  if (named !== newest) return null;
  // The revision defines no headers for notifications.
  if (id === undefined) return null;
  if (c.req.header("mcp-method") !== method) return mismatch("Mcp-Method is not the method");
  const { name } = params ?? {};
  if (method === "tools/call" && decoded(c.req.header("mcp-name")) !== name) return mismatch("Mcp-Name is not the name of the tool");
  return null;
}

/** Decodes a header that is no plain ASCII: `=?base64?…?=`. */
function decoded(value: string | undefined): string | undefined {
  const [, base64] = /^=\?base64\?(.*)\?=$/.exec(value ?? "") ?? [];
  return base64 === undefined ? value : Buffer.from(base64, "base64").toString();
}

/** Headers of a request that those of its tools have too: its key, and the client that a proxy names. */
const passedOn = ["authorization", "x-api-key", "x-forwarded-for"];

/** Returns the API of this app with the key of a request, and its peer, which the audit names. */
function apiOf(app: OpenAPIHono<Env>, c: Context<Env>): ApiClient {
  const own = Object.fromEntries(
    passedOn.flatMap((name) => {
      const value = c.req.header(name);
      return value === undefined ? [] : [[name, value]];
    }),
  );
  return async ({ method, path, body, headers }, signal) => {
    const request = {
      method,
      headers: {
        ...own,
        "x-request-id": c.get("requestId"),
        ...headers,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal,
    };
    const response = await app.request(path, request, peerOf(c));
    return { status: response.status, body: (await response.json()) as JsonObject };
  };
}

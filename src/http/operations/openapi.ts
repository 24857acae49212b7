import { z } from "@hono/zod-openapi";
import type { OpenAPIHono } from "@hono/zod-openapi";
import type { Env, HttpDependencies } from "./dependencies.ts";
import { addOperation, defineOperation } from "./operation.ts";
import { registerComponents } from "./operation-document.ts";
import { registerWebhooks } from "./webhook-document.ts";

const tags = [
  { name: "Watches", description: "Registrations of one call each." },
  { name: "Events", description: "Observed transitions, as they were sent." },
  { name: "Calls", description: "The last known status of a call." },
  { name: "Hooks", description: "REST hooks: subscriptions to every call of the account." },
  { name: "Endpoints", description: "URLs that receive webhooks." },
  { name: "Deliveries", description: "Pending and settled deliveries, with every attempt." },
  { name: "Account", description: "The account of the key and its sources." },
  { name: "Keys", description: "API keys of the account." },
  { name: "Operation", description: "Health of the process." },
];

const documentSchema = z.record(z.string(), z.unknown());
const documentExample = { openapi: "3.1.0", info: { title: "Ringback", version: "1.0.0" }, paths: {} };

const introduction = [
  "Push notifications of how PolyAI outbound calls end: register a call SID and a callback URL, receive a signed webhook on every transition.",
  "JSON in and out, in UTF-8; if a key is given twice, the last one counts. Times are ISO 8601 in UTC with milliseconds. Unknown keys and parameters are refused; hooks ignore and name them. Bodies have at most 1 MiB, the batch 4 MiB.",
  "Every error is `application/problem+json` (RFC 9457) with a stable `type`, `urn:ringback:problem:<slug>`, and the `request_id` that is in `X-Request-Id` too. Another method on a path is 405 `method-not-allowed` with `Allow`. An id of another account, or one that cannot be one, is 404 like an unknown one.",
  "Lists are newest first, except the feed (oldest first) and the events of a watch (by sequence). `limit` is 1 to 200; pass `next_cursor` as `cursor`. Items added meanwhile do not shift pages.",
  "Every POST that changes something takes an `Idempotency-Key`. Every answer has an `X-Request-Id`; send your own to find it in the logs.",
].join("\n\n");

/** Builds the OpenAPI 3.1 document of all operations of the app and of the webhooks. `publicUrl` is the server, if it is known. */
export function openApiDocument(app: OpenAPIHono<Env>, version: string, publicUrl: string | null = null) {
  const serverUrl = publicUrl?.replace(/\/+$/, "") ?? "/";
  return app.getOpenAPI31Document({
    openapi: "3.1.0",
    info: {
      title: "Ringback",
      version,
      description: introduction,
      contact: { name: "Operator of this service", ...(publicUrl === null ? {} : { url: publicUrl }) },
      license: { name: "MIT", url: "https://spdx.org/licenses/MIT.html" },
    },
    servers: [{ url: serverUrl, description: "This service." }],
    security: [{ bearer: [] }, { apiKey: [] }],
    tags,
  });
}

const getDocument = defineOperation({
  method: "get",
  path: "/openapi.json",
  operationId: "getDocument",
  tag: "Operation",
  summary: "This document",
  description: "OpenAPI 3.1 of every operation and webhook.",
  answers: {
    200: { description: "OpenAPI 3.1 document, including the webhooks.", schema: documentSchema, example: documentExample },
  },
  scope: null,
});

/** Registers the shared parts of the document and the route that serves it. */
export function addOpenApiRoute(app: OpenAPIHono<Env>, { version, publicUrl }: Pick<HttpDependencies, "version" | "publicUrl">): void {
  const registry = app.openAPIRegistry;
  registry.registerComponent("securitySchemes", "bearer", { type: "http", scheme: "bearer", description: "An API key of the account." });
  registry.registerComponent("securitySchemes", "apiKey", {
    type: "apiKey",
    in: "header",
    name: "X-API-Key",
    description: "An API key of the account.",
  });
  registerWebhooks(app);
  registerComponents(app);
  // Built and encoded at the first request, when every operation is registered.
  let bytes: Uint8Array<ArrayBuffer> | null = null;
  addOperation(app, getDocument, (c) =>
    c.body((bytes ??= new TextEncoder().encode(JSON.stringify(openApiDocument(app, version, publicUrl)))), 200, {
      "content-type": "application/json",
    }),
  );
}

import { z } from "@hono/zod-openapi";
import type { OpenAPIHono } from "@hono/zod-openapi";
import { describeConsequences } from "../../domain/deliveries/response-class.ts";
import type { Env } from "./dependencies.ts";
import { addOperation } from "./operation.ts";
import { registerSharedParts } from "./operation-document.ts";
import { operationalWebhookSchema, webhookSchema } from "../schemas/webhook.ts";

const tags = [
  { name: "Watches", description: "One call each: registered, read, removed." },
  { name: "Events", description: "What was observed, as it was sent." },
  { name: "Calls", description: "The last known status of a call." },
  { name: "Hooks", description: "REST hooks: told of every call of the account." },
  { name: "Endpoints", description: "Where webhooks go." },
  { name: "Deliveries", description: "What is owed to whom, and every attempt." },
  { name: "Account", description: "Who asks, and which sources they may use." },
  { name: "Operation", description: "Health of the process." },
];

const webhookHeaders = z.object({
  "webhook-id": z.string().openapi({ description: "One per event: the same on every attempt and to every endpoint. Deduplicate by it." }),
  "webhook-timestamp": z.string().openapi({ description: "Unix seconds of this attempt." }),
  "webhook-signature": z.string().openapi({
    description: "Standard Webhooks: `v1,<base64>` of HMAC-SHA256 over `id.timestamp.body`, one per valid secret; `v1a` where asked for.",
  }),
});

const documentSchema = z.record(z.string(), z.unknown());
const documentExample = { openapi: "3.1.0", info: { title: "Ringback", version: "0.1.0" }, paths: {} };

const howToAnswer =
  "Check the signature over the body as it came, answer 2xx within 15 s, and do the work afterwards. It may come more than once: `webhook-id` tells.";
const webhook = {
  method: "post" as const,
  tags: ["Events"],
  security: [],
  responses: {
    "2XX": { description: "Delivered." },
    "4XX": { description: describeConsequences(400, 499) },
    "5XX": { description: describeConsequences(500, 599) },
  },
};

const introduction = [
  "Tells you how PolyAI outbound calls end: register a call SID and a callback URL, receive a signed webhook on every transition.",
  "JSON in and out, in UTF-8; of a key given twice the last counts. Times are ISO 8601 in UTC with milliseconds. Unknown keys and parameters are refused (of a hook: ignored and named). Bodies have at most 1 MiB, the batch 4 MiB.",
  "Every error is `application/problem+json` (RFC 9457) with a stable `type`, `urn:ringback:problem:<slug>`, and the `request_id` that is in `X-Request-Id` too. Another method on a path is 405 `method-not-allowed` with `Allow`. An id of another account, or one that cannot be one, is 404 like an unknown one.",
  "Lists are newest first, `limit` 1 to 200; `next_cursor` goes into `cursor`, and what is added meanwhile moves nothing.",
  "Every POST takes an `Idempotency-Key`. Every answer names itself in `X-Request-Id`: send your own to find it again.",
].join("\n\n");

/** OpenAPI 3.1 of everything that was added to the app, the webhooks we send included. */
export function openApiDocument(app: OpenAPIHono<Env>, version: string) {
  return app.getOpenAPI31Document({
    openapi: "3.1.0",
    info: {
      title: "Ringback",
      version,
      description: introduction,
      license: { name: "MIT", url: "https://spdx.org/licenses/MIT.html" },
    },
    servers: [{ url: "/", description: "This service." }],
    security: [{ bearer: [] }, { apiKey: [] }],
    tags,
  });
}

/** What the document needs besides the operations, and the route that serves it. */
export function addOpenApiRoute(app: OpenAPIHono<Env>, version: string): void {
  const registry = app.openAPIRegistry;
  registry.registerComponent("securitySchemes", "bearer", { type: "http", scheme: "bearer" });
  registry.registerComponent("securitySchemes", "apiKey", { type: "apiKey", in: "header", name: "X-API-Key" });
  registry.registerWebhook({
    ...webhook,
    path: "event",
    operationId: "receiveEvent",
    summary: "An event",
    description: `Sent by us to your endpoint, here in the format \`standard\`. ${howToAnswer}`,
    request: { headers: webhookHeaders, body: { required: true, content: { "application/json": { schema: webhookSchema } } } },
  });
  registry.registerWebhook({
    ...webhook,
    path: "operational-event",
    operationId: "receiveOperationalEvent",
    summary: "An operational event",
    description: `Only for hooks that name its type; here in the format \`standard\`. ${howToAnswer}`,
    request: { headers: webhookHeaders, body: { required: true, content: { "application/json": { schema: operationalWebhookSchema } } } },
  });
  registerSharedParts(app);
  // Made when it is first asked for: every operation has been added by then, and none is added later.
  let text: string | null = null;
  addOperation(
    app,
    {
      method: "get",
      path: "/openapi.json",
      operationId: "getDocument",
      tag: "Operation",
      summary: "This document",
      answers: {
        200: { description: "OpenAPI 3.1, with the webhooks that are sent.", schema: documentSchema, example: documentExample },
      },
      isPublic: true,
    },
    (c) => c.body((text ??= JSON.stringify(openApiDocument(app, version))), 200, { "content-type": "application/json" }),
  );
}

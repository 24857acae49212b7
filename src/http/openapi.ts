import { z } from "@hono/zod-openapi";
import type { OpenAPIHono } from "@hono/zod-openapi";
import type { Env } from "./dependencies.ts";
import { webhookSchema } from "./schemas/webhook.ts";

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
  "webhook-signature": z.string().openapi({ description: "Standard Webhooks: `v1,<base64>` of HMAC-SHA256 over `id.timestamp.body`, one per valid secret; `v1a` where asked for." }),
});

/** OpenAPI 3.1 of everything that was added to the app, the webhooks we send included. */
export function openApiDocument(app: OpenAPIHono<Env>, version: string) {
  return app.getOpenAPI31Document({
    openapi: "3.1.0",
    info: {
      title: "Ringback",
      version,
      description: "Tells you how PolyAI outbound calls end: register a call SID and a callback URL, receive a signed webhook on every transition.",
      license: { name: "MIT", url: "https://spdx.org/licenses/MIT.html" },
    },
    servers: [{ url: "/", description: "This service." }],
    security: [{ bearer: [] }, { apiKey: [] }],
    tags,
  });
}

/** What the document needs besides the operations. */
export function addOpenApiRoute(app: OpenAPIHono<Env>, version: string): void {
  const registry = app.openAPIRegistry;
  registry.registerComponent("securitySchemes", "bearer", { type: "http", scheme: "bearer" });
  registry.registerComponent("securitySchemes", "apiKey", { type: "apiKey", in: "header", name: "X-API-Key" });
  registry.registerWebhook({
    method: "post",
    path: "event",
    operationId: "receiveEvent",
    tags: ["Events"],
    summary: "An event",
    description: "Sent by us to your endpoint (format `standard`). Answer 2xx within 15 s.",
    security: [],
    request: { headers: webhookHeaders, body: { content: { "application/json": { schema: webhookSchema } } } },
    responses: {
      "2XX": { description: "Delivered." },
      "4XX": { description: "410: the endpoint is disabled. 429: we wait for `Retry-After`. Any other: retried." },
    },
  });
  app.get("/openapi.json", (c) => c.json(openApiDocument(app, version)));
}

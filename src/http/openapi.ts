import { z } from "@hono/zod-openapi";
import type { OpenAPIHono } from "@hono/zod-openapi";
import type { Env } from "./dependencies.ts";
import { operationalWebhookSchema, webhookSchema } from "./schemas/webhook.ts";

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

const howToAnswer =
  "Check the signature over the body as it came, answer 2xx within 15 s, and do the work afterwards. It may come more than once: `webhook-id` tells.";
const webhook = {
  method: "post" as const,
  tags: ["Events"],
  security: [],
  responses: {
    "2XX": { description: "Delivered." },
    "4XX": {
      description: "410: the endpoint is disabled. 429: nothing is sent until `Retry-After`. Any other: tried again by the schedule.",
    },
    "5XX": { description: "Tried again by the schedule; after 502, 503 and 504 the endpoint is given a pause." },
  },
};

/** OpenAPI 3.1 of everything that was added to the app, the webhooks we send included. */
export function openApiDocument(app: OpenAPIHono<Env>, version: string) {
  return app.getOpenAPI31Document({
    openapi: "3.1.0",
    info: {
      title: "Ringback",
      version,
      description:
        "Tells you how PolyAI outbound calls end: register a call SID and a callback URL, receive a signed webhook on every transition.",
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
  // Made when it is first asked for: every operation has been added by then, and none is added later.
  let text: string | null = null;
  app.get("/openapi.json", (c) =>
    c.body((text ??= JSON.stringify(openApiDocument(app, version))), 200, { "content-type": "application/json" }),
  );
}

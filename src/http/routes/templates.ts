import { z } from "@hono/zod-openapi";
import type { OpenAPIHono } from "@hono/zod-openapi";
import { templateMethods } from "../../domain/webhooks/request-template.ts";
import type { Env, HttpDependencies } from "../operations/dependencies.ts";
import { addPostOperation, definePostOperation } from "../operations/post-operation.ts";
import type { Post } from "../operations/post-operation.ts";
import { previewOf } from "../operations/template-preview.ts";
import type { Preview } from "../operations/template-preview.ts";
import { previewRequestSchema } from "../schemas/template-preview.ts";

const previewExample = {
  method: "POST",
  content_type: "application/json",
  body: '{"lead":"00Q5g000","note":"Call OUT-550e8400-e29b-41d4-a716-446655440000: success ()","done":true}',
} as const;

const previewSchema = z
  .object({
    method: z.enum(templateMethods).openapi({ description: "Method of the request." }),
    content_type: z.string().openapi({ description: "Media type of the body." }),
    body: z.string().openapi({ description: "Body as text, byte for byte as it would be sent and signed." }),
  })
  .openapi("TemplatePreview", { example: previewExample });

const previewTemplate = definePostOperation({
  scope: "read",
  path: "/v1/templates/preview",
  operationId: "previewTemplate",
  tag: "Endpoints",
  summary: "Preview what an endpoint would be sent",
  description: "Renders an event in a format or with a template, without sending it. The same code renders what is sent.",
  body: previewRequestSchema,
  answers: { 200: { description: "The request.", schema: previewSchema, example: previewExample } },
});

/** Route of the preview of formats and templates. */
export function addTemplateRoutes(app: OpenAPIHono<Env>, dependencies: HttpDependencies): void {
  const { idempotency } = dependencies;
  addPostOperation(app, idempotency, previewTemplate, async (c, { body }): Promise<Post<Preview>> => {
    const accountId = c.get("account").id;
    const preview = await previewOf(dependencies, accountId, body);
    return {
      act: (keyed) => idempotency.keep({ keyed, accountId, watchId: preview.watchId }, preview),
      answer: ({ request }) => ({ status: 200, body: request }),
    };
  });
}

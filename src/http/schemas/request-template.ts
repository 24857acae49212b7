import { z } from "@hono/zod-openapi";
import { contentTypeMaxLength } from "../../domain/webhooks/media-type.ts";
import {
  defaultContentType,
  findTemplateFaults,
  maxPlaceholders,
  templateMaxBytes,
  templateMethods,
} from "../../domain/webhooks/request-template.ts";
import type { JsonValue, RequestTemplate } from "../../domain/webhooks/request-template.ts";
import { parseTemplate } from "../../domain/webhooks/webhook-content.ts";

export const templateExample = {
  method: "POST",
  content_type: "application/json",
  body: { lead: "{{data.metadata.lead_id}}", note: "Call {{data.call_sid}}: {{data.status}} ({{data.reason}})", done: "{{data.terminal}}" },
} as const;

const methodField = z
  .enum(templateMethods, `must be ${templateMethods.slice(0, -1).join(", ")} or ${templateMethods.at(-1)}`)
  .openapi({ description: "Method of the request." });
const placeholders = `Strings may hold up to ${maxPlaceholders} placeholders in all, as in \`{{data.status}}\`: paths of the body of the format \`standard\` to a single value. A string that is one placeholder becomes the value with its type; inside text null is empty. \`data.metadata.*\` and \`data.details.*\` are null where the event has none.`;

/** Template of the requests that an endpoint is sent. */
export const requestField = z
  .strictObject(
    {
      method: methodField,
      content_type: z
        .string("must be a string")
        .optional()
        .openapi({
          maxLength: contentTypeMaxLength,
          description: `Media type of JSON or text, in UTF-8; ${defaultContentType} if left out. With text the body is one string.`,
        }),
      body: z.unknown().openapi({ description: `JSON of at most ${templateMaxBytes} bytes. ${placeholders}` }),
    },
    "must be an object",
  )
  .superRefine((template, context) => {
    if (template.body === undefined) return context.addIssue({ code: "custom", path: ["body"], message: "is required" });
    const { content_type = defaultContentType } = template;
    for (const { path, detail } of findTemplateFaults({ content_type, body: template.body as JsonValue }))
      context.addIssue({ code: "custom", path: [...path], message: detail });
    return undefined;
  })
  .transform(({ method, content_type = defaultContentType, body }): RequestTemplate => ({ method, content_type, body: body as JsonValue }))
  .openapi("RequestTemplate", {
    description: "Template of the requests that the endpoint is sent; needs the format `template`.",
    required: ["method", "body"],
    example: templateExample,
  });

/** Template in an answer. */
export const shownRequest = z
  .object({
    method: z.enum(templateMethods).openapi({ description: "Method of the request." }),
    content_type: z.string().openapi({ description: "Media type of the body." }),
    body: z.unknown().openapi({ description: "Body with its placeholders." }),
  })
  .nullable()
  .openapi({ description: "Template of the request; null unless the format is `template`." });

/** Refuses a format without the template that it needs, and a template beside another format. A template alone implies its format. */
export function checkTemplate(
  { format, request }: { readonly format?: unknown; readonly request?: unknown },
  context: z.RefinementCtx,
): void {
  const fault = (message: string) => context.addIssue({ code: "custom", path: ["request"], message });
  if (format === "template" && request === undefined) fault("is required with the format template");
  if (request !== undefined && format !== undefined && format !== "template") fault("needs the format template");
}

export function templateJson(stored: string | null): z.infer<typeof shownRequest> {
  if (stored === null) return null;
  const { method, content_type, body } = parseTemplate(stored);
  return { method, content_type, body };
}

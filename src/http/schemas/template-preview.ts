import { z } from "@hono/zod-openapi";
import { eventIdField, formatField } from "./fields.ts";
import { requestField, templateExample } from "./request-template.ts";

export const previewRequestSchema = z
  .strictObject(
    {
      format: formatField.optional(),
      request: requestField.optional(),
      event_id: eventIdField
        .optional()
        .openapi({ description: "Event of the account to render; left out: that of `GET /v1/hooks/sample`." }),
    },
    "must be an object",
  )
  .superRefine(({ format, request }, context) => {
    const fault = (key: string, message: string) => context.addIssue({ code: "custom", path: [key], message });
    if (format === undefined && request === undefined) fault("request", "is required unless a format is given");
    if (format !== undefined && request !== undefined) fault("format", "must be left out beside a request");
    if (format === "template" && request === undefined) fault("format", "must be left out: give the request of the template instead");
  })
  .openapi("TemplatePreviewRequest", {
    description: "One of `format` and `request` is required.",
    example: { request: templateExample },
  });

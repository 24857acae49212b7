import { z } from "@hono/zod-openapi";
import { isSandboxSid, sandboxScenarioOf, sandboxScenarios, sandboxSourceName } from "../../domain/sources/sandbox.ts";
import type { WatchRequest } from "../../ports/use-cases/registration.ts";
import { watchFilterFields, watchFilterOf } from "./event-filter.ts";
import { callSidField, endpointFields, endpointRequestOf, metadataField, sourceNameField, timeField, urlField } from "./fields.ts";

export const watchRequestSchema = z
  .strictObject(
    {
      call_sid: callSidField,
      callback_url: urlField.nullish().openapi({ description: "URL that is sent the events; null to read the feed instead." }),
      ...watchFilterFields,
      metadata: metadataField.optional(),
      ...endpointFields,
      source: sourceNameField.optional().openapi({ description: "Name of the source; `default` if left out.", example: "default" }),
      expires_at: timeField
        .nullish()
        .openapi({ type: ["string", "null"], description: "When to give up waiting for the end of the call; 24 h from now if left out." }),
    },
    "must be an object",
  )
  .superRefine((request, context) => {
    const fault = (key: string, message: string) => context.addIssue({ code: "custom", path: [key], message });
    for (const key of Object.keys(endpointFields) as (keyof typeof endpointFields)[])
      if (request[key] !== undefined && typeof request.callback_url !== "string")
        fault(key, "describes the endpoint of a callback_url, which is missing");
    const inSandbox = request.source === sandboxSourceName;
    if (inSandbox && sandboxScenarioOf(request.call_sid) === null)
      fault(
        "call_sid",
        `must be OUT-sandbox-<scenario> with the scenario ${sandboxScenarios.join(", ")}, optionally followed by -<anything>`,
      );
    if (!inSandbox && isSandboxSid(request.call_sid)) fault("source", 'must be "sandbox" for a sandbox SID');
  })
  .openapi("WatchRequest", {
    example: {
      call_sid: "OUT-550e8400-e29b-41d4-a716-446655440000",
      callback_url: "https://crm.example.com/hooks/calls",
      events: ["terminal"],
      metadata: { lead_id: "00Q5g000" },
    },
  });

export function watchRequestOf(body: z.infer<typeof watchRequestSchema>): WatchRequest {
  return {
    callSid: body.call_sid,
    callbackUrl: body.callback_url ?? null,
    filter: watchFilterOf(body),
    metadata: (body.metadata ?? {}) as Readonly<Record<string, string>>,
    ...endpointRequestOf(body),
    sourceName: body.source ?? "default",
    expiresAtMs: body.expires_at ?? null,
  };
}

import { z } from "@hono/zod-openapi";
import { isSandboxSid, sandboxScenarioOf, sandboxScenarios, sandboxSourceName } from "../../domain/sources/sandbox.ts";
import type { PlaceRequest } from "../../ports/use-cases/placing.ts";
import type { PlacedWatchRequest, WatchChange, WatchRequest } from "../../ports/use-cases/registration.ts";
import { watchFilterFields, watchFilterOf } from "./event-filter.ts";
import { checkTemplate } from "./request-template.ts";
import {
  callSidField,
  endpointFields,
  endpointRequestOf,
  metadataField,
  sourceNameField,
  timeField,
  urlField,
  withoutProto,
} from "./fields.ts";

const watchFields = {
  callback_url: urlField.nullish().openapi({
    description:
      "URL that is sent the events; null to read the feed instead. If left out, null where the account has a hook, else a fault.",
  }),
  ...watchFilterFields,
  metadata: metadataField.optional(),
  ...endpointFields,
  source: sourceNameField.optional().openapi({
    description:
      "Name of the source. If left out, `default`, or, where the account may not use that, the only source that was made for it alone.",
    example: "default",
  }),
  expires_at: timeField
    .nullish()
    .openapi({ type: ["string", "null"], description: "When to give up waiting for the end of the call; 24 h from now if left out." }),
};
type WatchFields = Readonly<Partial<Record<keyof typeof watchFields, unknown>>>;

/** Refuses settings of an endpoint without a callback URL, and those that contradict each other. */
function checkEndpoint(request: WatchFields, context: z.RefinementCtx): void {
  for (const key of Object.keys(endpointFields) as (keyof typeof endpointFields)[])
    if (request[key] !== undefined && typeof request.callback_url !== "string")
      context.addIssue({ code: "custom", path: [key], message: "describes the endpoint of a callback_url, which is missing" });
  checkTemplate(request, context);
}

export const watchRequestSchema = z
  .strictObject({ call_sid: callSidField, ...watchFields }, "must be an object")
  .superRefine((request, context) => {
    const fault = (key: string, message: string) => context.addIssue({ code: "custom", path: [key], message });
    checkEndpoint(request, context);
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

export const watchPatchSchema = z
  .strictObject(
    {
      events: watchFields.events,
      metadata: watchFields.metadata,
      expires_at: timeField
        .nullish()
        .openapi({ type: ["string", "null"], description: "When to give up waiting for the end of the call; null for 24 h from now." }),
    },
    "must be an object",
  )
  .openapi("WatchPatch", { example: { metadata: { lead_id: "00Q5g001" }, events: null } });

/** Returns what the body changes. A key that was left out is absent. */
export function watchChangeOf(body: z.infer<typeof watchPatchSchema>): WatchChange {
  return {
    ...(body.events === undefined ? {} : { filter: watchFilterOf(body) }),
    ...(body.metadata === undefined ? {} : { metadata: body.metadata as Readonly<Record<string, string>> }),
    ...(body.expires_at === undefined ? {} : { expiresAtMs: body.expires_at }),
  };
}

export const placeRequestSchema = z
  .strictObject(
    {
      call: withoutProto.pipe(z.record(z.string(), z.json(), "must be an object")).openapi({
        type: "object",
        additionalProperties: true,
        description:
          "Body of the upstream's trigger, at most 30 KiB. PolyAI: its documented keys, the number (`to_number` or `toNumber`) required. A `json` source: the keys that it allows. The sandbox: `scenario`.",
        example: { to_number: "+441234567890" },
      }),
      ...watchFields,
    },
    "must be an object",
  )
  .superRefine(checkEndpoint)
  .openapi("PlaceRequest", {
    example: {
      call: { to_number: "+441234567890" },
      callback_url: "https://crm.example.com/hooks/calls",
      metadata: { lead_id: "00Q5g000" },
    },
  });

/** Returns the request to place a call. `trace` is its valid `traceparent`. */
export function placeRequestOf(body: z.infer<typeof placeRequestSchema>, trace: string | null): PlaceRequest {
  return { call: body.call, ...placedWatchOf(body, trace) };
}

/** Returns the request for a watch. `trace` is its valid `traceparent`. */
export function watchRequestOf(body: z.infer<typeof watchRequestSchema>, trace: string | null): WatchRequest {
  return { callSid: body.call_sid, ...placedWatchOf(body, trace) };
}

function placedWatchOf(body: Omit<z.infer<typeof watchRequestSchema>, "call_sid">, trace: string | null): PlacedWatchRequest {
  return {
    callbackUrl: body.callback_url ?? null,
    needsHook: body.callback_url === undefined,
    filter: watchFilterOf(body),
    metadata: (body.metadata ?? {}) as Readonly<Record<string, string>>,
    ...endpointRequestOf(body),
    sourceName: body.source ?? null,
    expiresAtMs: body.expires_at ?? null,
    trace,
  };
}

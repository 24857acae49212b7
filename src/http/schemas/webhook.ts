import { z } from "@hono/zod-openapi";
import { operationalEventTypes, watchEventTypes } from "../../domain/events/event.ts";
import { detailsSchema, timeOrNull, timeSchema } from "./parts.ts";

export const eventDataExample = {
  watch_id: "wch_1kw4kg04000",
  call_sid: "OUT-550e8400-e29b-41d4-a716-446655440000",
  source: "default",
  status: "failure",
  previous_status: "calling",
  reason: "call queueing: max timeout limit exceeded",
  terminal: true,
  sequence: 3,
  observed_at: "2026-11-24T12:00:03.120Z",
  observed_after: "2026-11-24T12:00:01.100Z",
  metadata: { lead_id: "00Q5g000" },
  details: {},
};

/** `data` of every event of a watch. All keys are always present. In `endpoint.test` they are `null`. */
export const eventDataSchema = z
  .object({
    watch_id: z.string().nullable(),
    call_sid: z.string().nullable(),
    source: z.string().nullable(),
    status: z.string().nullable().openapi({ description: "Status in lower case; the last known one in a `watch.*` ending." }),
    previous_status: z.string().nullable().openapi({ description: "null in a watch's first event." }),
    reason: z.string().nullable(),
    terminal: z.boolean().nullable().openapi({ description: "Whether this is the last event of the watch." }),
    sequence: z
      .number()
      .int()
      .nullable()
      .openapi({ description: "Number of the event within the watch, from 1, counted before the filter; use it for ordering." }),
    observed_at: timeOrNull,
    observed_after: timeOrNull.openapi({
      description: "When the previous status was last confirmed; the change happened between the two times.",
    }),
    metadata: z.record(z.string(), z.string()),
    details: detailsSchema,
  })
  .openapi("EventData", { example: eventDataExample });

/** `data` of the operational events. A key that does not apply is `null`. */
export const operationalDataSchema = z
  .object({
    endpoint_id: z.string().nullable(),
    delivery_id: z.string().nullable(),
    hook_ids: z
      .array(z.string())
      .nullable()
      .openapi({ description: "Hooks of the endpoint that was disabled; a list separated by commas in `flat` and `form`." }),
    source: z.string().nullable(),
    state: z.string().nullable(),
    reason: z.string().nullable(),
    observed_at: timeSchema,
  })
  .openapi("OperationalData", {
    example: {
      endpoint_id: null,
      delivery_id: null,
      hook_ids: null,
      source: "default",
      state: "suspended",
      reason: "unauthorized",
      observed_at: "2026-11-24T12:00:03.120Z",
    },
  });

/** Body of the `standard` format. */
export const webhookSchema = z
  .object({ type: z.enum([...watchEventTypes, "endpoint.test"]), timestamp: timeSchema, data: eventDataSchema })
  .openapi("Webhook", { example: { type: "call.failure", timestamp: eventDataExample.observed_at, data: eventDataExample } });

/** Body of an operational event, sent to hooks that name its type. */
export const operationalWebhookSchema = z
  .object({ type: z.enum(operationalEventTypes), timestamp: timeSchema, data: operationalDataSchema })
  .openapi("OperationalWebhook");

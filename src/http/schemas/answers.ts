import { watchStatuses } from "../../domain/calls/watch.ts";
import { attemptDecisions, errorCodes } from "../../domain/deliveries/attempt.ts";
import { deliveryStatuses } from "../../domain/deliveries/delivery.ts";
import { endpointReasons } from "../../domain/deliveries/endpoint.ts";
import { payloadFormats } from "../../domain/events/payload.ts";
import { listPausingStatuses } from "../../domain/deliveries/response-class.ts";
import { z } from "@hono/zod-openapi";
import { filterAnswerFields } from "./event-filter.ts";
import { detailsSchema, eventTypes, timeOrNull, timeSchema } from "./parts.ts";
import { eventDataExample, eventDataSchema, operationalDataSchema, testDataSchema } from "./webhook.ts";

const endpointState = z.enum(["enabled", "paused", "disabled"]);
const format = z.enum(payloadFormats);
const deliveryStatus = z.enum(deliveryStatuses);
const explain = z.string().openapi({ description: "One sentence for people that says what is pending and until when." });
const noRequest = z.null().openapi({ description: "Template of the request; null, because no format has one." });
const shownOnce = "Generated for this answer and shown once; null otherwise.";

const atTime = "2026-11-24T12:00:03.120Z";
const ids = {
  watch: "wch_1kw4kg04000",
  hook: "hk_1kw4kg04000",
  endpoint: "ep_1kw4kg04000",
  event: "evt_5uVb0nCqHkq1Xw3Zt8Yd2Jr7Ls4Mf6Pg",
  delivery: "dlv_1kw4kg04000",
};

export const watchExample = {
  id: ids.watch,
  call_sid: "OUT-550e8400-e29b-41d4-a716-446655440000",
  callback_url: "https://crm.example.com/hooks/calls",
  endpoint_id: ids.endpoint,
  endpoint_state: "enabled",
  source: "default",
  status: "active",
  end_reason: null,
  call: {
    status: null,
    reason: "",
    terminal: false,
    observed_at: null,
    polled_at: null,
    next_poll_at: null,
    problem: null,
    problem_detail: null,
  },
  events: ["terminal"],
  metadata: { lead_id: "00Q5g000" },
  format: "standard",
  request: null,
  sequence: 0,
  explain: "waiting for the first poll of the call",
  created_at: "2026-11-24T12:00:00.000Z",
  expires_at: "2026-11-25T12:00:00.000Z",
  ended_at: null,
  signing_secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
};

export const watchSchema = z
  .object({
    id: z.string(),
    call_sid: z.string(),
    callback_url: z.string().nullable(),
    endpoint_id: z.string().nullable(),
    endpoint_state: endpointState.nullable(),
    source: z.string(),
    status: z.enum(watchStatuses),
    end_reason: z.enum(["not_found", "lost", "rejected", "expired", "deleted", "gone"]).nullable(),
    call: z.object({
      status: z.string().nullable().openapi({ description: "Status of the upstream in lower case; null if none was seen." }),
      reason: z.string(),
      terminal: z.boolean(),
      observed_at: timeOrNull,
      polled_at: timeOrNull,
      next_poll_at: timeOrNull,
      problem: z.enum(["source_suspended", "source_slowed", "upstream_errors", "not_found_yet"]).nullable(),
      problem_detail: z.string().nullable().openapi({ description: "Words of the upstream about the problem; null if there are none." }),
    }),
    ...filterAnswerFields,
    metadata: z.record(z.string(), z.string()),
    format: format.nullable(),
    request: noRequest,
    sequence: z.number().int().openapi({ description: "Sequence of the last event; 0 before the first." }),
    explain,
    created_at: timeSchema,
    expires_at: timeSchema,
    ended_at: timeOrNull,
    signing_secret: z.string().nullable().openapi({ description: shownOnce }),
  })
  .openapi("Watch", { example: watchExample });

export const eventExample = {
  id: ids.event,
  type: "call.failure",
  timestamp: atTime,
  data: eventDataExample,
  deliveries: [{ id: ids.delivery, endpoint_id: ids.endpoint, status: "delivered", attempt_count: 1, next_attempt_at: null }],
};

export const eventSchema = z
  .object({
    id: z.string(),
    type: eventTypes,
    timestamp: timeSchema,
    data: z.union([eventDataSchema, operationalDataSchema, testDataSchema]),
    deliveries: z.array(
      z.object({
        id: z.string(),
        endpoint_id: z.string(),
        status: deliveryStatus,
        attempt_count: z.number().int(),
        next_attempt_at: timeOrNull,
      }),
    ),
  })
  .openapi("Event", { example: eventExample });

export const attemptExample = {
  number: 1,
  started_at: atTime,
  duration_ms: 48,
  status_code: 503,
  error: { code: "status" as const, detail: "the receiver answered 503" },
  response_excerpt: "upstream connect error",
  decision: "retry" as const,
};

export const attemptSchema = z
  .object({
    number: z.number().int(),
    started_at: timeSchema,
    duration_ms: z.number().int(),
    status_code: z.number().int().nullable(),
    error: z.object({ code: z.enum(errorCodes), detail: z.string() }).nullable(),
    response_excerpt: z.string().nullable().openapi({ description: "The first KiB of the answer's body." }),
    decision: z.enum(attemptDecisions),
  })
  .openapi("Attempt", { example: attemptExample });

export const deliveryExample = {
  id: ids.delivery,
  event_id: ids.event,
  event_type: "call.failure" as const,
  watch_id: ids.watch,
  call_sid: "OUT-550e8400-e29b-41d4-a716-446655440000",
  endpoint_id: ids.endpoint,
  status: "pending" as const,
  attempt_count: 1,
  next_attempt_at: "2026-11-24T12:00:08.180Z",
  created_at: atTime,
  settled_at: null,
  last_attempt: { status_code: attemptExample.status_code, error: attemptExample.error, started_at: attemptExample.started_at },
  explain: "waits for attempt 2 at 2026-11-24T12:00:08.180Z",
};

const lastAttemptSchema = attemptSchema
  .pick({ status_code: true, error: true, started_at: true })
  .openapi("LastAttempt", { example: deliveryExample.last_attempt });

export const deliverySchema = z
  .object({
    id: z.string(),
    event_id: z.string(),
    event_type: eventTypes,
    watch_id: z.string().nullable(),
    call_sid: z.string().nullable(),
    endpoint_id: z.string(),
    status: deliveryStatus,
    attempt_count: z.number().int(),
    next_attempt_at: timeOrNull,
    created_at: timeSchema,
    settled_at: timeOrNull,
    last_attempt: lastAttemptSchema.nullable().openapi({ description: "The newest recorded attempt; null if none was made." }),
    explain,
  })
  .openapi("Delivery", { example: deliveryExample });

export const deliveryWithAttemptsExample = { ...deliveryExample, attempts: [attemptExample] };

export const deliveryWithAttemptsSchema = deliverySchema
  .extend({ attempts: z.array(attemptSchema) })
  .openapi("DeliveryWithAttempts", { example: deliveryWithAttemptsExample });

export const endpointExample = {
  id: ids.endpoint,
  url: "https://crm.example.com/hooks/calls",
  format: "standard",
  request: null,
  headers: ["x-api-key"],
  signatures: ["v1"],
  late: "send",
  max_in_flight: 32,
  max_per_second: null,
  state: "enabled",
  reason: null,
  since: null,
  paused_until: null,
  last_success_at: atTime,
  backlog: 0,
  oldest_due_at: null,
  hooks: [ids.hook],
  explain: "no delivery is pending",
  created_at: "2026-11-24T12:00:00.000Z",
};

export const endpointSchema = z
  .object({
    id: z.string(),
    url: z.string(),
    format,
    request: noRequest,
    headers: z.array(z.string()).openapi({ description: "Names of the headers; values are never shown." }),
    signatures: z.array(z.enum(["v1", "v1a"])),
    late: z.enum(["send", "drop"]),
    max_in_flight: z.number().int().openapi({ description: "Limit of the endpoint, or that of the service if none was set." }),
    max_per_second: z.number().nullable(),
    state: endpointState.openapi({ description: "`paused` also while a pause runs, the endpoint's own or its host's." }),
    reason: z
      .enum([...endpointReasons, "host"])
      .nullable()
      .openapi({
        description: `Why the endpoint is not enabled: a client's PATCH, a 410, or only failures; or why it pauses: ${listPausingStatuses("rate_limited")}, ${listPausingStatuses("unavailable")}, or its host.`,
      }),
    since: timeOrNull.openapi({ description: "Since when the endpoint has this state; null if it is enabled." }),
    paused_until: timeOrNull,
    last_success_at: timeOrNull,
    backlog: z.number().int().openapi({ description: "Number of pending deliveries." }),
    oldest_due_at: timeOrNull,
    hooks: z
      .array(z.string())
      .openapi({ description: "Hooks with this URL. A 410 disables them; they resume when the endpoint is enabled." }),
    explain,
    created_at: timeSchema,
  })
  .openapi("Endpoint", { example: endpointExample });

export const hookExample = {
  id: ids.hook,
  secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
  url: "https://hooks.zapier.com/hooks/standard/1/abc/",
  events: ["terminal"],
  where: null,
  format: "flat",
  request: null,
  endpoint_id: ids.endpoint,
  endpoint_state: "enabled",
  created_at: "2026-11-24T12:00:00.000Z",
  ignored: ["zap_id"],
};

export const hookSchema = z
  .object({
    id: z.string(),
    secret: z.string().nullable().openapi({ description: shownOnce }),
    url: z.string(),
    ...filterAnswerFields,
    where: z.null().openapi({ description: "Conditions of the hook; null, because it has none." }),
    format,
    request: noRequest,
    endpoint_id: z.string(),
    endpoint_state: endpointState,
    created_at: timeSchema,
    ignored: z.array(z.string()).openapi({ description: "Keys of the request that were not read." }),
  })
  .openapi("Hook", { example: hookExample });

export const sourceExample = {
  name: "default",
  kind: "polyai-legacy",
  state: "ok",
  reason: null,
  since: null,
  last_good_poll_at: atTime,
  interval_ms: 2000,
};

/** Schema of a source. `kinds` are the names of all kinds. */
export const sourceSchemaOf = (kinds: readonly string[]) =>
  z
    .object({
      name: z.string(),
      kind: z.enum(kinds as [string, ...string[]]),
      state: z.enum(["ok", "unproven", "slowed", "suspended", "circuit_open"]),
      reason: z.string().nullable(),
      since: timeOrNull,
      last_good_poll_at: timeOrNull,
      interval_ms: z.number().int(),
    })
    .openapi("Source", { example: sourceExample });

export const callExample = {
  call_sid: "OUT-550e8400-e29b-41d4-a716-446655440000",
  source: "default",
  status: "success",
  reason: "",
  terminal: true,
  observed_at: atTime,
  details: {},
};

export const callSchema = z
  .object({
    call_sid: z.string(),
    source: z.string(),
    status: z.string().nullable(),
    reason: z.string(),
    terminal: z.boolean(),
    observed_at: timeOrNull,
    details: detailsSchema,
  })
  .openapi("Call", { example: callExample });

/** Page of a list. */
export const pageSchema = <Item extends z.ZodType>(item: Item) =>
  z.object({
    data: z.array(item),
    next_cursor: z
      .string()
      .nullable()
      .openapi({ description: "Value of `cursor` for the next request; null on the last page.", example: null }),
  });

export const pageExample = (item: unknown) => ({ data: [item], next_cursor: null });

import { watchStatuses } from "../../domain/calls/watch.ts";
import { attemptDecisions, errorCodes } from "../../domain/deliveries/attempt.ts";
import { deliveryStatuses } from "../../domain/deliveries/delivery.ts";
import { endpointReasons } from "../../domain/deliveries/endpoint.ts";
import { listPausingStatuses } from "../../domain/deliveries/response-class.ts";
import { endpointFormats } from "../../domain/webhooks/webhook-content.ts";
import { z } from "@hono/zod-openapi";
import { filterAnswerFields, hookFilterAnswerFields } from "./event-filter.ts";
import { detailsSchema, eventTypes, timeOrNull, timeSchema } from "./parts.ts";
import { shownRequest } from "./request-template.ts";
import { eventDataExample, eventDataSchema, operationalDataSchema, testDataSchema } from "./webhook.ts";

const endpointState = z.enum(["enabled", "paused", "disabled"]);
const format = z.enum(endpointFormats);
const deliveryStatus = z.enum(deliveryStatuses);
const rate = z.number().min(0).max(1).nullable();
const explain = z.string().openapi({ description: "One sentence for people that says what is pending and until when." });
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
    id: z.string().openapi({ description: "Id of the watch." }),
    call_sid: z.string().openapi({ description: "SID of the call." }),
    callback_url: z.string().nullable().openapi({ description: "URL that is sent the events; null if the client reads the feed." }),
    endpoint_id: z.string().nullable().openapi({ description: "Endpoint of the URL; null without a callback URL." }),
    endpoint_state: endpointState.nullable().openapi({ description: "State of the endpoint; null without a callback URL." }),
    source: z.string().openapi({ description: "Name of the source that the call is polled from." }),
    status: z
      .enum(watchStatuses)
      .openapi({ description: "`completed`: a terminal status was seen; `ended`: there will be none; `canceled`: by a DELETE or a 410." }),
    end_reason: z
      .enum(["not_found", "lost", "rejected", "expired", "deleted", "gone"])
      .nullable()
      .openapi({ description: "Why the watch ended or was canceled; null otherwise." }),
    call: z
      .object({
        status: z.string().nullable().openapi({ description: "Status of the upstream in lower case; null if none was seen." }),
        reason: z.string().openapi({ description: "Words of the upstream about the status; empty if there are none." }),
        terminal: z.boolean().openapi({ description: "Whether the status ends the call." }),
        observed_at: timeOrNull.openapi({ description: "When the status was observed; null if none was." }),
        polled_at: timeOrNull.openapi({ description: "When the call was last polled; null if unknown." }),
        next_poll_at: timeOrNull.openapi({ description: "When the call is polled next; null if unknown." }),
        problem: z
          .enum(["source_suspended", "source_slowed", "upstream_errors", "not_found_yet"])
          .nullable()
          .openapi({ description: "Why polling is delayed; null if it is not." }),
        problem_detail: z.string().nullable().openapi({
          description:
            "What the last poll failed with, with the upstream's correlation id if it sent one; null if there is nothing to say.",
        }),
      })
      .openapi({ description: "What is known of the call, and when it is polled." }),
    ...filterAnswerFields,
    metadata: z.record(z.string(), z.string()).openapi({ description: "Metadata as registered." }),
    format: format.nullable().openapi({ description: "Format of the webhooks; null without a callback URL." }),
    request: shownRequest,
    sequence: z.number().int().openapi({ description: "Sequence of the last event; 0 before the first." }),
    explain,
    created_at: timeSchema.openapi({ description: "When the watch was registered." }),
    expires_at: timeSchema.openapi({ description: "When the watch gives up waiting for the end of the call." }),
    ended_at: timeOrNull.openapi({ description: "When the watch ended; null while it is active." }),
    signing_secret: z.string().nullable().openapi({ description: shownOnce }),
  })
  .openapi("Watch", { description: "Registration of one call.", example: watchExample });

export const eventExample = {
  id: ids.event,
  type: "call.failure",
  timestamp: atTime,
  data: eventDataExample,
  deliveries: [{ id: ids.delivery, endpoint_id: ids.endpoint, status: "delivered", attempt_count: 1, next_attempt_at: null }],
};

export const eventSchema = z
  .object({
    id: z.string().openapi({ description: "Id of the event, the same as `webhook-id`." }),
    type: eventTypes.openapi({ description: "Type of the event." }),
    timestamp: timeSchema.openapi({ description: "When the event was recorded." }),
    data: z
      .union([eventDataSchema, operationalDataSchema, testDataSchema])
      .openapi({ description: "Facts of the event, as they were sent." }),
    deliveries: z
      .array(
        z.object({
          id: z.string().openapi({ description: "Id of the delivery." }),
          endpoint_id: z.string().openapi({ description: "Endpoint that the delivery is for." }),
          status: deliveryStatus.openapi({ description: "State of the delivery." }),
          attempt_count: z.number().int().openapi({ description: "Number of attempts made." }),
          next_attempt_at: timeOrNull.openapi({
            description:
              "When the next attempt is due; null if none is. The first 2xx of an endpoint after failures makes due what waits for its schedule.",
          }),
        }),
      )
      .openapi({ description: "Deliveries of the event, one for each endpoint." }),
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
    number: z.number().int().openapi({ description: "Number of the attempt, from 1." }),
    started_at: timeSchema.openapi({ description: "When the attempt began." }),
    duration_ms: z.number().int().openapi({ description: "Duration of the attempt in milliseconds." }),
    status_code: z.number().int().nullable().openapi({ description: "Status code of the answer; null if none came." }),
    error: z
      .object({
        code: z.enum(errorCodes).openapi({ description: "Class of the failure." }),
        detail: z.string().openapi({ description: "What happened, for people." }),
      })
      .nullable()
      .openapi({ description: "What went wrong; null after a 2xx." }),
    response_excerpt: z
      .string()
      .nullable()
      .openapi({ description: "The first KiB of the answer's body, without the values of the endpoint's headers if it repeats them." }),
    decision: z.enum(attemptDecisions).openapi({ description: "What follows from the attempt." }),
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
    id: z.string().openapi({ description: "Id of the delivery." }),
    event_id: z.string().openapi({ description: "Event that is delivered." }),
    event_type: eventTypes.openapi({ description: "Type of the event." }),
    watch_id: z.string().nullable().openapi({ description: "Watch of the event; null for operational events." }),
    call_sid: z.string().nullable().openapi({ description: "SID of the call; null for operational events." }),
    endpoint_id: z.string().openapi({ description: "Endpoint that the delivery is for." }),
    status: deliveryStatus.openapi({ description: "State of the delivery." }),
    attempt_count: z.number().int().openapi({ description: "Number of attempts made." }),
    next_attempt_at: timeOrNull.openapi({
      description:
        "When the next attempt is due; null if none is. The first 2xx of an endpoint after failures makes due what waits for its schedule.",
    }),
    created_at: timeSchema.openapi({ description: "When the delivery was recorded." }),
    settled_at: timeOrNull.openapi({ description: "When the delivery reached its last state; null while it is pending." }),
    last_attempt: lastAttemptSchema.nullable().openapi({ description: "The newest recorded attempt; null if none was made." }),
    explain,
  })
  .openapi("Delivery", { example: deliveryExample });

export const deliveryWithAttemptsExample = { ...deliveryExample, attempts: [attemptExample] };

export const deliveryWithAttemptsSchema = deliverySchema
  .extend({
    attempts: z.array(attemptSchema).openapi({
      description: "The newest 100 attempts, oldest first. Of a delivery with more, the first 10 and the newest 100 are kept.",
    }),
  })
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
  success_rate: { "1h": 0.75, "24h": 0.9934 },
  backlog: 0,
  oldest_due_at: null,
  hooks: [ids.hook],
  explain: "no delivery is pending",
  created_at: "2026-11-24T12:00:00.000Z",
};

export const endpointSchema = z
  .object({
    id: z.string().openapi({ description: "Id of the endpoint." }),
    url: z.string().openapi({ description: "URL that receives webhooks." }),
    format: format.openapi({ description: "Format of the webhooks." }),
    request: shownRequest,
    headers: z.array(z.string()).openapi({ description: "Names of the headers; values are never shown." }),
    signatures: z.array(z.enum(["v1", "v1a"])).openapi({ description: "Signatures of each webhook." }),
    late: z
      .enum(["send", "drop"])
      .openapi({ description: "`drop`: an earlier event is superseded once a later one of the watch was delivered." }),
    max_in_flight: z.number().int().openapi({ description: "Limit of the endpoint, or that of the service if none was set." }),
    max_per_second: z.number().nullable().openapi({ description: "Maximum number of webhooks a second; null if there is none." }),
    state: endpointState.openapi({ description: "`paused` also while a pause runs, the endpoint's own or its host's." }),
    reason: z
      .enum([...endpointReasons, "host"])
      .nullable()
      .openapi({
        description: `Why the endpoint is not enabled: a client's PATCH, a 410, or only failures; or why it pauses: ${listPausingStatuses("rate_limited")}, ${listPausingStatuses("unavailable")}, or its host.`,
      }),
    since: timeOrNull.openapi({ description: "Since when the endpoint has this state; null if it is enabled." }),
    paused_until: timeOrNull.openapi({ description: "End of a pause; null if none runs." }),
    last_success_at: timeOrNull.openapi({ description: "When a 2xx was last received; null if none was." }),
    success_rate: z
      .object({
        "1h": rate.openapi({ description: "Of the last hour; null without an attempt." }),
        "24h": rate.openapi({ description: "Of the last 24 hours; null without an attempt." }),
      })
      .openapi({ description: "Part of the attempts that were answered 2xx, from 0 to 1; null without an attempt. Tests do not count." }),
    backlog: z.number().int().openapi({ description: "Number of pending deliveries." }),
    oldest_due_at: timeOrNull.openapi({ description: "When the oldest pending delivery was due; null if none is." }),
    hooks: z
      .array(z.string())
      .openapi({ description: "Hooks with this URL. A 410 disables them; they resume when the endpoint is enabled." }),
    explain,
    created_at: timeSchema.openapi({ description: "When the endpoint was made." }),
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
    id: z.string().openapi({ description: "Id of the hook." }),
    secret: z.string().nullable().openapi({ description: shownOnce }),
    url: z.string().openapi({ description: "URL that is sent the events." }),
    ...hookFilterAnswerFields,
    format: format.openapi({ description: "Format of the webhooks." }),
    request: shownRequest,
    endpoint_id: z.string().openapi({ description: "Endpoint of the URL." }),
    endpoint_state: endpointState.openapi({ description: "State of the endpoint." }),
    created_at: timeSchema.openapi({ description: "When the hook was made." }),
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
  last_unknown_status: null,
};

/** Schema of a source. `kinds` are the names of all kinds. */
export const sourceSchemaOf = (kinds: readonly string[]) =>
  z
    .object({
      name: z.string().openapi({ description: "Name of the source." }),
      kind: z.enum(kinds as [string, ...string[]]).openapi({ description: "Kind of the source." }),
      state: z
        .enum(["ok", "unproven", "slowed", "suspended", "circuit_open"])
        .openapi({ description: "Health of the source; `unproven` before the first poll." }),
      reason: z.string().nullable().openapi({ description: "Why the source has this state; null if it is `ok`." }),
      since: timeOrNull.openapi({ description: "Since when the source has this state; null if unknown." }),
      last_good_poll_at: timeOrNull.openapi({ description: "When a poll last succeeded; null if none has." }),
      interval_ms: z.number().int().openapi({ description: "Interval between two polls of a call in milliseconds." }),
      last_unknown_status: z.string().nullable().openapi({
        description:
          "Last status that is in no status map of the source, so that it was passed on as `call.other`; null if there was none.",
      }),
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
    call_sid: z.string().openapi({ description: "SID of the call." }),
    source: z.string().openapi({ description: "Name of the source." }),
    status: z.string().nullable().openapi({ description: "Last known status in lower case; null if none was seen." }),
    reason: z.string().openapi({ description: "Words of the upstream about the status; empty if there are none." }),
    terminal: z.boolean().openapi({ description: "Whether the status ends the call." }),
    observed_at: timeOrNull.openapi({ description: "When the status was observed; null if none was." }),
    details: detailsSchema,
  })
  .openapi("Call", { example: callExample });

/** Page of a list. */
export const pageSchema = <Item extends z.ZodType>(item: Item) =>
  z.object({
    data: z.array(item).openapi({ description: "Items of this page." }),
    next_cursor: z
      .string()
      .nullable()
      .openapi({ description: "Value of `cursor` for the next request; null on the last page.", example: null }),
  });

export const pageExample = (item: unknown) => ({ data: [item], next_cursor: null });

import { z } from "@hono/zod-openapi";
import type { Attempt } from "../../domain/attempt.ts";
import { explainDelivery, explainEndpoint, explainWatch } from "../../domain/explain.ts";
import { isoTime, standardPayload } from "../../domain/payload.ts";
import type { SourceHealth } from "../../domain/source.ts";
import type { LiveState } from "../../ports/bridge.ts";
import type { DeliveryView, EndpointSummary, EndpointView, EventView, HookView, WatchView } from "../../ports/read-store.ts";

const time = z.string().openapi({ format: "date-time", example: "2026-11-24T12:00:03.120Z" });
const timeOrNull = time.nullable();
const endpointState = z.enum(["enabled", "paused", "disabled"]);
const format = z.enum(["standard", "flat", "form", "cloudevents"]);
const deliveryStatus = z.enum(["pending", "delivered", "exhausted", "failed", "canceled", "superseded", "expired"]);

export const watchSchema = z
  .object({
    id: z.string(),
    call_sid: z.string(),
    callback_url: z.string().nullable(),
    endpoint_id: z.string().nullable(),
    endpoint_state: endpointState.nullable(),
    source: z.string(),
    status: z.enum(["active", "completed", "ended", "canceled"]),
    end_reason: z.enum(["not_found", "lost", "rejected", "expired", "deleted", "gone"]).nullable(),
    call: z.object({
      status: z.string().nullable(),
      reason: z.string(),
      terminal: z.boolean(),
      observed_at: timeOrNull,
      polled_at: timeOrNull,
      next_poll_at: timeOrNull,
      problem: z.enum(["source_suspended", "source_slowed", "upstream_errors", "not_found_yet"]).nullable(),
    }),
    events: z.array(z.string()).nullable(),
    metadata: z.record(z.string(), z.string()),
    format: format.nullable(),
    sequence: z.number().int(),
    explain: z.string(),
    created_at: time,
    expires_at: time,
    ended_at: timeOrNull,
    signing_secret: z.string().nullable().openapi({ description: "Made for this answer and shown once; null otherwise." }),
  })
  .openapi("Watch");

export function watchJson(view: WatchView, live: LiveState, nowMs: number, signingSecret: string | null = null): z.infer<typeof watchSchema> {
  const { watch, call, endpoint, pendingDeliveries } = view;
  const progress = watch.status === "active" ? live.callProgress(watch.callId) : null;
  return {
    id: watch.id,
    call_sid: watch.callSid,
    callback_url: watch.callbackUrl,
    endpoint_id: watch.endpointId,
    endpoint_state: endpoint === null ? null : effectiveState(endpoint, nowMs),
    source: watch.sourceName,
    status: watch.status,
    end_reason: watch.endReason,
    call: {
      status: call.status,
      reason: call.reason,
      terminal: call.terminal,
      observed_at: isoTime(call.observedAtMs),
      polled_at: isoTime(progress?.polledAtMs ?? call.lastGoodPollAtMs),
      next_poll_at: isoTime(progress?.nextPollAtMs ?? null),
      problem: progress?.problem ?? null,
    },
    events: watch.events === null ? null : [...watch.events],
    metadata: { ...watch.metadata },
    format: endpoint?.format ?? null,
    sequence: watch.sequence,
    explain: explainWatch({ watch, call, endpoint, pendingDeliveries, progress, nowMs }),
    created_at: isoTime(watch.createdAtMs),
    expires_at: isoTime(watch.expiresAtMs),
    ended_at: isoTime(watch.endedAtMs),
    signing_secret: signingSecret,
  };
}

export const eventSchema = z
  .object({
    id: z.string(),
    type: z.string(),
    timestamp: time,
    data: z.record(z.string(), z.unknown()),
    deliveries: z.array(
      z.object({ id: z.string(), endpoint_id: z.string(), status: deliveryStatus, attempt_count: z.number().int(), next_attempt_at: timeOrNull }),
    ),
  })
  .openapi("Event");

export function eventJson({ event, deliveries }: EventView): z.infer<typeof eventSchema> {
  return {
    id: event.id,
    ...standardPayload(event),
    deliveries: deliveries.map((delivery) => ({
      id: delivery.id,
      endpoint_id: delivery.endpointId,
      status: delivery.status,
      attempt_count: delivery.attemptCount,
      next_attempt_at: isoTime(delivery.nextAttemptAtMs),
    })),
  };
}

export const attemptSchema = z
  .object({
    number: z.number().int(),
    started_at: time,
    duration_ms: z.number().int(),
    status_code: z.number().int().nullable(),
    error: z
      .object({
        code: z.enum(["status", "timeout", "connect", "reset", "tls", "dns", "protocol", "redirect", "blocked_address", "gone"]),
        detail: z.string(),
      })
      .nullable(),
    response_excerpt: z.string().nullable(),
    decision: z.enum(["delivered", "retry", "deferred", "exhausted", "failed", "gone"]),
  })
  .openapi("Attempt");

export function attemptJson(attempt: Attempt): z.infer<typeof attemptSchema> {
  return {
    number: attempt.number,
    started_at: isoTime(attempt.startedAtMs),
    duration_ms: Math.round(attempt.durationMs),
    status_code: attempt.statusCode,
    error: attempt.error,
    response_excerpt: attempt.responseExcerpt,
    decision: attempt.decision,
  };
}

export const deliverySchema = z
  .object({
    id: z.string(),
    event_id: z.string(),
    event_type: z.string(),
    watch_id: z.string().nullable(),
    call_sid: z.string().nullable(),
    endpoint_id: z.string(),
    status: deliveryStatus,
    attempt_count: z.number().int(),
    next_attempt_at: timeOrNull,
    created_at: time,
    settled_at: timeOrNull,
    explain: z.string(),
  })
  .openapi("Delivery");

export const deliveryWithAttemptsSchema = deliverySchema.extend({ attempts: z.array(attemptSchema) }).openapi("DeliveryWithAttempts");

export function deliveryJson(view: DeliveryView, nowMs: number): z.infer<typeof deliverySchema> {
  const { delivery } = view;
  return {
    id: delivery.id,
    event_id: delivery.eventId,
    event_type: delivery.eventType,
    watch_id: delivery.watchId,
    call_sid: delivery.callSid,
    endpoint_id: delivery.endpointId,
    status: delivery.status,
    attempt_count: delivery.attemptCount,
    next_attempt_at: isoTime(delivery.nextAttemptAtMs),
    created_at: isoTime(delivery.createdAtMs),
    settled_at: isoTime(delivery.settledAtMs),
    explain: explainDelivery({ ...view, nowMs }),
  };
}

export const endpointSchema = z
  .object({
    id: z.string(),
    url: z.string(),
    format,
    headers: z.array(z.string()),
    signatures: z.array(z.enum(["v1", "v1a"])),
    late: z.enum(["send", "drop"]),
    max_in_flight: z.number().int().nullable(),
    max_per_second: z.number().nullable(),
    state: endpointState,
    reason: z.string().nullable(),
    since: timeOrNull,
    paused_until: timeOrNull,
    last_success_at: timeOrNull,
    backlog: z.number().int(),
    oldest_due_at: timeOrNull,
    explain: z.string(),
    created_at: time,
  })
  .openapi("Endpoint");

export function endpointJson(view: EndpointView, nowMs: number): z.infer<typeof endpointSchema> {
  const { endpoint, backlog, oldestDueAtMs } = view;
  const pausedUntilMs = Math.max(endpoint.health.pausedUntilMs ?? 0, view.hostPausedUntilMs ?? 0);
  const pauses = endpoint.state === "enabled" && pausedUntilMs > nowMs;
  return {
    id: endpoint.id,
    url: endpoint.url,
    format: endpoint.format,
    headers: [...endpoint.headerNames],
    signatures: [...endpoint.signatures],
    late: endpoint.late,
    max_in_flight: endpoint.maxInFlight,
    max_per_second: endpoint.maxPerSecond,
    state: pauses ? "paused" : endpoint.state,
    reason: pauses ? (endpoint.health.pauseReason ?? "host_paused") : endpoint.reason,
    since: isoTime(endpoint.sinceMs),
    paused_until: pauses ? isoTime(pausedUntilMs) : null,
    last_success_at: isoTime(endpoint.health.lastSuccessAtMs),
    backlog,
    oldest_due_at: isoTime(oldestDueAtMs),
    explain: explainEndpoint({ endpoint, hostPausedUntilMs: view.hostPausedUntilMs, backlog, oldestDueAtMs, nowMs }),
    created_at: isoTime(endpoint.createdAtMs),
  };
}

export const hookSchema = z
  .object({
    id: z.string(),
    secret: z.string().nullable().openapi({ description: "Made for this answer and shown once; null when the endpoint was there before." }),
    url: z.string(),
    events: z.array(z.string()).nullable(),
    format,
    endpoint_id: z.string(),
    endpoint_state: endpointState,
    created_at: time,
    ignored: z.array(z.string()).openapi({ description: "Keys of the request that say nothing to us." }),
  })
  .openapi("Hook");

export function hookJson(view: HookView, nowMs: number, shown: { secret: string | null; ignored: readonly string[] }): z.infer<typeof hookSchema> {
  return {
    id: view.id,
    secret: shown.secret,
    url: view.url,
    events: view.events === null ? null : [...view.events],
    format: view.endpoint.format,
    endpoint_id: view.endpoint.id,
    endpoint_state: effectiveState(view.endpoint, nowMs),
    created_at: isoTime(view.createdAtMs),
    ignored: [...shown.ignored],
  };
}

export const sourceSchema = z
  .object({
    name: z.string(),
    kind: z.enum(["polyai-legacy", "polyai-agents", "sandbox"]),
    state: z.enum(["ok", "unproven", "slowed", "suspended", "circuit_open"]),
    reason: z.string().nullable(),
    since: timeOrNull,
    last_good_poll_at: timeOrNull,
    interval_ms: z.number().int(),
  })
  .openapi("Source");

export function sourceJson(health: SourceHealth): z.infer<typeof sourceSchema> {
  return {
    name: health.name,
    kind: health.kind,
    state: health.state,
    reason: health.reason,
    since: isoTime(health.sinceMs),
    last_good_poll_at: isoTime(health.lastGoodPollAtMs),
    interval_ms: health.intervalMs,
  };
}

export const callSchema = z
  .object({
    call_sid: z.string(),
    source: z.string(),
    status: z.string().nullable(),
    reason: z.string(),
    terminal: z.boolean(),
    observed_at: timeOrNull,
  })
  .openapi("Call");

/** A page of anything. */
export const pageSchema = <Item extends z.ZodType>(item: Item) => z.object({ data: z.array(item), next_cursor: z.string().nullable() });

/** Paused also while a pause by 429 or 5xx runs. */
function effectiveState(endpoint: EndpointSummary, nowMs: number): "enabled" | "paused" | "disabled" {
  return endpoint.state === "enabled" && endpoint.pausedUntilMs !== null && endpoint.pausedUntilMs > nowMs ? "paused" : endpoint.state;
}

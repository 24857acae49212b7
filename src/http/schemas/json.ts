import { effectiveState, pauseInForce } from "../../domain/deliveries/endpoint.ts";
import { successRate } from "../../domain/deliveries/success-rate.ts";
import type { RecentAttempts } from "../../domain/deliveries/success-rate.ts";
import type { z } from "@hono/zod-openapi";
import type { Attempt } from "../../domain/deliveries/attempt.ts";
import { filterToJson, hookFilterToJson } from "../../domain/events/event-filter.ts";
import type { EventType } from "../../domain/events/event.ts";
import { explainDelivery, explainEndpoint, explainWatch } from "../../domain/explain.ts";
import { isoTime, standardPayload } from "../../domain/events/payload.ts";
import type { SourceHealth } from "../../domain/sources/source.ts";
import type { LiveState } from "../../ports/use-cases/live-state.ts";
import type { DeliveryView, EndpointView, EventView, HookView, WatchView } from "../../ports/stores/read-store.ts";
import { templateJson } from "./request-template.ts";
import type { attemptSchema, deliverySchema, endpointSchema, hookSchema, sourceSchemaOf, watchSchema } from "./answers.ts";

export function watchJson(
  view: WatchView,
  live: LiveState,
  nowMs: number,
  signingSecret: string | null = null,
): z.infer<typeof watchSchema> {
  const { watch, call, endpoint, pendingDeliveries } = view;
  const progress = watch.status === "active" ? live.callProgress(watch.callId, watch.sourceName) : null;
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
      problem_detail: progress?.problemDetail ?? null,
    },
    ...filterToJson(watch.filter),
    metadata: { ...watch.metadata },
    format: endpoint?.format ?? null,
    request: templateJson(endpoint?.request ?? null),
    sequence: watch.sequence,
    explain: explainWatch({ watch, call, endpoint, pendingDeliveries, progress, nowMs }),
    created_at: isoTime(watch.createdAtMs),
    expires_at: isoTime(watch.expiresAtMs),
    ended_at: isoTime(watch.endedAtMs),
    signing_secret: signingSecret,
  };
}

export function eventJson({ event, deliveries }: EventView) {
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

export function deliveryJson(view: DeliveryView, nowMs: number): z.infer<typeof deliverySchema> {
  const { delivery, lastAttempt } = view;
  return {
    id: delivery.id,
    event_id: delivery.eventId,
    event_type: delivery.eventType as EventType,
    watch_id: delivery.watchId,
    call_sid: delivery.callSid,
    endpoint_id: delivery.endpointId,
    status: delivery.status,
    attempt_count: delivery.attemptCount,
    next_attempt_at: isoTime(delivery.nextAttemptAtMs),
    created_at: isoTime(delivery.createdAtMs),
    settled_at: isoTime(delivery.settledAtMs),
    last_attempt:
      lastAttempt === null
        ? null
        : { status_code: lastAttempt.statusCode, error: lastAttempt.error, started_at: isoTime(lastAttempt.startedAtMs) },
    explain: explainDelivery({ ...view, nowMs }),
  };
}

export function pauseOf({ endpoint, hostPausedUntilMs, hostPausedSinceMs }: EndpointView, nowMs: number): ReturnType<typeof pauseInForce> {
  return pauseInForce(endpoint.health, { pausedUntilMs: hostPausedUntilMs, pausedSinceMs: hostPausedSinceMs }, nowMs);
}

/** Renders an endpoint. `maxInFlight` applies if the endpoint has no limit of its own; without `attempts` it has no rates. */
export function endpointJson(
  view: EndpointView,
  nowMs: number,
  maxInFlight: number,
  attempts: RecentAttempts | null = null,
): z.infer<typeof endpointSchema> {
  const { endpoint, backlog, oldestDueAtMs } = view;
  const pause = endpoint.state === "enabled" ? pauseOf(view, nowMs) : null;
  return {
    id: endpoint.id,
    url: endpoint.url,
    format: endpoint.format,
    request: templateJson(endpoint.request),
    headers: [...endpoint.headerNames],
    signatures: [...endpoint.signatures],
    late: endpoint.late,
    max_in_flight: endpoint.maxInFlight ?? maxInFlight,
    max_per_second: endpoint.maxPerSecond,
    state: pause === null ? endpoint.state : "paused",
    reason: pause === null ? endpoint.reason : pause.reason,
    since: isoTime(pause === null ? endpoint.sinceMs : pause.sinceMs),
    paused_until: isoTime(pause === null ? null : pause.untilMs),
    last_success_at: isoTime(endpoint.health.lastSuccessAtMs),
    success_rate: {
      "1h": attempts === null ? null : successRate(attempts.hour),
      "24h": attempts === null ? null : successRate(attempts.day),
    },
    backlog,
    oldest_due_at: isoTime(oldestDueAtMs),
    hooks: [...view.hookIds],
    explain: explainEndpoint({ endpoint, hostPausedUntilMs: view.hostPausedUntilMs, backlog, oldestDueAtMs, nowMs }),
    created_at: isoTime(endpoint.createdAtMs),
  };
}

export function hookJson(
  view: HookView,
  nowMs: number,
  shown: { secret: string | null; ignored: readonly string[] },
): z.infer<typeof hookSchema> {
  return {
    id: view.id,
    secret: shown.secret,
    url: view.url,
    ...hookFilterToJson(view.filter),
    format: view.endpoint.format,
    request: templateJson(view.endpoint.request),
    endpoint_id: view.endpoint.id,
    endpoint_state: effectiveState(view.endpoint, nowMs),
    created_at: isoTime(view.createdAtMs),
    ignored: [...shown.ignored],
  };
}

export function sourceJson(health: SourceHealth): z.infer<ReturnType<typeof sourceSchemaOf>> {
  return {
    name: health.name,
    kind: health.kind,
    state: health.state,
    reason: health.reason,
    since: isoTime(health.sinceMs),
    last_good_poll_at: isoTime(health.lastGoodPollAtMs),
    interval_ms: health.intervalMs,
    last_unknown_status: health.lastUnknownStatus,
  };
}

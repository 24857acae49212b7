import type { Attempt, AttemptDecision, AttemptMode, AttemptOutcome } from "./attempt.ts";
import type { DeliveryState } from "./delivery.ts";
import { broughtForwardFrom, recoveriesAfterSuccess } from "./bring-forward.ts";
import { hasEndpointChanged } from "./endpoint.ts";
import type { EndpointHealth, EndpointReason, EndpointState } from "./endpoint.ts";
import { hostNameOf } from "../webhooks/http-url.ts";
import { classifyOutcome, spreadWithinMs } from "./response-class.ts";
import type { Pause, ResponseClass } from "./response-class.ts";
import { parseRetryAfter } from "./retry-after.ts";
import { delayBeforeStep, scheduleSpanMs } from "./retry-policy.ts";
import type { DeliveryPolicy } from "./retry-policy.ts";

/** Pause of everything that an account sends to one origin. */
export type HostHealth = {
  readonly pausedUntilMs: number | null;
  /** Time when the pause that ends at `pausedUntilMs` began; `null` if there is none. */
  readonly pausedSinceMs: number | null;
  readonly consecutivePauses: number;
};

/** The newest spreading answers (429) of a host, as far as the decision about the next one needs them. */
export type HostRateLimits = {
  /** Endpoint that answered last; `null` before the first such answer. */
  readonly endpointId: string | null;
  readonly atMs: number | null;
  /** Time of the newest such answer of any other endpoint of the host. */
  readonly otherAtMs: number | null;
};

export type HostStatus = HostHealth & { readonly rateLimits: HostRateLimits };

export type EndpointStatus = {
  readonly state: EndpointState;
  readonly reason: EndpointReason | null;
  readonly sinceMs: number | null;
  readonly health: EndpointHealth;
};

export type AttemptInput = {
  /** Current state of the delivery, which may have been settled while the attempt was in flight. */
  readonly delivery: DeliveryState;
  readonly attempt: {
    readonly number: number;
    readonly startedAtMs: number;
    readonly durationMs: number;
    readonly outcome: AttemptOutcome;
    readonly mode: AttemptMode;
  };
  readonly endpointId: string;
  /** Origin of the endpoint's URL: scheme://host:port. */
  readonly origin: string;
  readonly endpoint: EndpointStatus;
  readonly host: HostStatus;
  /** Whether the event is an `endpoint.test`. A test never counts for or against disabling. */
  readonly isTest: boolean;
  /** Whether the attempt may cause operational events. Those of operational events and tests cause none, so that such events never chain. */
  readonly isReported: boolean;
};

export type AttemptResult = {
  readonly attempt: Attempt;
  readonly delivery: DeliveryState;
  readonly endpoint: EndpointStatus;
  readonly host: HostStatus;
  readonly endpointChange: "none" | "disabled_gone" | "disabled_failing";
  /** Change of the endpoint's health that an event publishes. */
  readonly healthReport: "none" | "failing" | "recovered";
};

/**
 * Decides what follows from one attempt: the next states of the delivery, the endpoint and its host (Standard Webhooks
 * specification 1.0.0). The meaning of the answer itself is in response-class.ts.
 */
export function decideAfterAttempt(
  input: AttemptInput,
  policy: DeliveryPolicy,
  moment: { readonly nowMs: number; readonly jitter: number },
): AttemptResult {
  const { nowMs } = moment;
  const { outcome } = input.attempt;
  const retryAfterMs = outcome.kind === "answered" ? parseRetryAfter(outcome.retryAfter, nowMs) : null;
  const responseClass = classifyOutcome(outcome, retryAfterMs);
  const isDelivered = responseClass.kind === "delivered";
  const rateLimits = rateLimitsAfter(input, responseClass, nowMs);
  const hostPause = pausesHost(input, responseClass, rateLimits, policy, nowMs) ? responseClass.pause : null;
  const endpointPause = responseClass.pause?.scope === "host" ? null : responseClass.pause;
  const pausedBy = (pause: Pause | null, { pausedUntilMs, pausedSinceMs, consecutivePauses }: HostHealth) =>
    pausedAfter({ pausedUntilMs, pausedSinceMs, consecutivePauses }, pause, { isDelivered, retryAfterMs, nowMs }, policy);
  const host = { ...pausedBy(hostPause, input.host), rateLimits };
  const attempted = endpointAfter(input, responseClass, pausedBy(endpointPause, input.endpoint.health), policy, nowMs);
  const endpointChange = changeOf(input.endpoint, attempted);
  const healthReport = input.isReported && endpointChange === "none" ? healthReportOf(attempted, isDelivered, policy, nowMs) : "none";
  const endpoint = healthReport === "none" ? attempted : reported(attempted, healthReport);
  const pauseEndsAtMs = responseClass.pause === null ? 0 : Math.max(host.pausedUntilMs ?? 0, endpoint.health.pausedUntilMs ?? 0);
  const { delivery, decision } = deliveryAfter(input, responseClass, policy, moment, pauseEndsAtMs);
  return {
    attempt: {
      number: input.attempt.number,
      startedAtMs: input.attempt.startedAtMs,
      durationMs: input.attempt.durationMs,
      statusCode: outcome.statusCode,
      error: errorOf(outcome, responseClass, retryAfterMs),
      responseExcerpt: outcome.kind === "answered" ? outcome.excerpt : null,
      decision,
    },
    delivery,
    endpoint,
    host,
    endpointChange,
    healthReport,
  };
}

/** Returns what an attempt reports of its endpoint: once that it fails for long, then once that it answers again. */
function healthReportOf(
  { health }: EndpointStatus,
  isDelivered: boolean,
  { failingAfterMs, failingMinAttempts }: DeliveryPolicy,
  nowMs: number,
): AttemptResult["healthReport"] {
  const { isReportedFailing, consecutiveFailures, failingSinceMs } = health;
  if (isReportedFailing) return isDelivered ? "recovered" : "none";
  if (isDelivered || failingSinceMs === null) return "none";
  return consecutiveFailures >= failingMinAttempts && nowMs - failingSinceMs >= failingAfterMs ? "failing" : "none";
}

function reported(endpoint: EndpointStatus, report: AttemptResult["healthReport"]): EndpointStatus {
  return { ...endpoint, health: { ...endpoint.health, isReportedFailing: report === "failing" } };
}

/** Whether an attempt settled its delivery, and neither its endpoint nor its host must be written. */
export function changesOnlyDelivery(
  before: Pick<AttemptInput, "endpoint" | "host">,
  { attempt, delivery, endpoint, host, endpointChange }: AttemptResult,
): boolean {
  return (
    attempt.decision === "delivered" &&
    delivery.status === "delivered" &&
    endpointChange === "none" &&
    !hasEndpointChanged(before.endpoint, endpoint) &&
    !hasHostChanged(before.host, host)
  );
}

/** Whether an attempt changed what is stored of a host. */
export function hasHostChanged(before: HostStatus, after: HostStatus): boolean {
  return (
    after.pausedUntilMs !== before.pausedUntilMs ||
    after.consecutivePauses !== before.consecutivePauses ||
    after.rateLimits !== before.rateLimits
  );
}

/**
 * Returns the change of the endpoint's state. A 410 of an endpoint that is disabled for another reason still ends its
 * watches and hooks.
 */
function changeOf(before: EndpointStatus, after: EndpointStatus): AttemptResult["endpointChange"] {
  if (after.state !== "disabled" || (before.state === "disabled" && before.reason === after.reason)) return "none";
  return after.reason === "gone" ? "disabled_gone" : "disabled_failing";
}

function errorOf(outcome: AttemptOutcome, { errorCode, detail }: ResponseClass, retryAfterMs: number | null): Attempt["error"] {
  if (errorCode === null) return null;
  if (outcome.kind === "failed") return { code: errorCode, detail: outcome.detail };
  const asks = retryAfterMs === null ? "" : ` and asks to wait ${Math.ceil(retryAfterMs / 1000)} s`;
  return { code: errorCode, detail: `answered ${outcome.statusCode}${detail === null ? asks : `: ${detail}`}` };
}

/**
 * Returns the pause of the endpoint or its host after an attempt. Attempts that were in flight when a pause began can
 * extend the pause, because each such answer asks for at least `pauseMinMs`, but neither double nor end it.
 */
function pausedAfter(
  before: HostHealth,
  pause: Pause | null,
  moment: { readonly isDelivered: boolean; readonly retryAfterMs: number | null; readonly nowMs: number },
  policy: DeliveryPolicy,
): HostHealth {
  const { isDelivered, retryAfterMs, nowMs } = moment;
  const running = before.pausedUntilMs !== null && before.pausedUntilMs > nowMs;
  if (pause === null) {
    if (!isDelivered || running) return before;
    return { pausedUntilMs: null, pausedSinceMs: null, consecutivePauses: 0 };
  }
  if (running) {
    const untilMs = nowMs + Math.max(retryAfterMs ?? 0, policy.pauseMinMs, pause.minMs);
    return { ...before, pausedUntilMs: Math.max(before.pausedUntilMs ?? 0, untilMs) };
  }
  const usualMs = Math.min(policy.pauseMinMs * 2 ** Math.min(before.consecutivePauses, 30), policy.pauseMaxMs);
  const pauseMs = Math.max(retryAfterMs ?? 0, usualMs, pause.minMs);
  return { pausedUntilMs: nowMs + pauseMs, pausedSinceMs: nowMs, consecutivePauses: before.consecutivePauses + 1 };
}

/** Returns the host's record of spreading answers after this one. */
function rateLimitsAfter({ endpointId, host }: AttemptInput, { pause }: ResponseClass, nowMs: number): HostRateLimits {
  const before = host.rateLimits;
  if (pause?.scope !== "spreading") return before;
  return { endpointId, atMs: nowMs, otherAtMs: before.endpointId === endpointId ? before.otherAtMs : before.atMs };
}

function pausesHost(
  { origin }: AttemptInput,
  { pause }: ResponseClass,
  { otherAtMs }: HostRateLimits,
  policy: DeliveryPolicy,
  nowMs: number,
): boolean {
  if (pause === null || pause.scope === "endpoint") return false;
  if (pause.scope !== "spreading") return true;
  return policy.rateLimitedHosts.includes(hostNameOf(origin)) || (otherAtMs !== null && nowMs - otherAtMs < spreadWithinMs);
}

/** Returns the endpoint after an attempt. `paused` is its own pause after the attempt. */
function endpointAfter(
  input: AttemptInput,
  responseClass: ResponseClass,
  paused: HostHealth,
  policy: DeliveryPolicy,
  nowMs: number,
): EndpointStatus {
  const { endpoint, isTest } = input;
  const { pause } = responseClass;
  const begins = pause !== null && pause.scope !== "host";
  const pauseReason = paused.pausedUntilMs === null ? null : begins ? pause.reason : endpoint.health.pauseReason;
  const recovered = responseClass.kind === "delivered" ? recoveriesAfterSuccess(endpoint.health, nowMs) : null;
  const health: EndpointHealth = { ...endpoint.health, ...paused, pauseReason, ...recovered };
  if (isTest) return { ...endpoint, health };
  switch (responseClass.kind) {
    case "delivered":
      return { ...endpoint, health: { ...health, consecutiveFailures: 0, failingSinceMs: null, lastSuccessAtMs: nowMs } };
    case "deferred":
      return { ...endpoint, health };
    case "gone":
      if (endpoint.state === "disabled" && endpoint.reason === "gone") return { ...endpoint, health };
      return { state: "disabled", reason: "gone", sinceMs: nowMs, health };
    case "failed":
    case "refused": {
      const failingSinceMs = health.failingSinceMs ?? nowMs;
      const failing = { ...health, consecutiveFailures: health.consecutiveFailures + 1, failingSinceMs };
      const lastsLong = failing.consecutiveFailures >= policy.disableMinAttempts && nowMs - failingSinceMs >= policy.disableAfterMs;
      if (!lastsLong || endpoint.state === "disabled") return { ...endpoint, health: failing };
      return { state: "disabled", reason: "failing", sinceMs: nowMs, health: failing };
    }
  }
}

const notWaiting = { nextAttemptAtMs: null, scheduledAtMs: null, lastRecovery: null };

function deliveryAfter(
  input: AttemptInput,
  responseClass: ResponseClass,
  policy: DeliveryPolicy,
  moment: { readonly nowMs: number; readonly jitter: number },
  pauseEndsAtMs: number,
): { delivery: DeliveryState; decision: AttemptDecision } {
  const { nowMs } = moment;
  const { startedAtMs } = input.attempt;
  const manual = input.attempt.mode === "manual";
  const pending = input.delivery.status === "pending";
  const firstAttemptAtMs = input.delivery.firstAttemptAtMs ?? (pending && !manual ? startedAtMs : null);
  // The only attempt that a settled delivery can have pending is a manual one: this one.
  const nextAttemptAtMs = pending ? input.delivery.nextAttemptAtMs : null;
  const counted: DeliveryState = { ...input.delivery, attemptCount: input.delivery.attemptCount + 1, firstAttemptAtMs, nextAttemptAtMs };
  const settle = (status: DeliveryState["status"]): DeliveryState => ({ ...counted, ...notWaiting, status, settledAtMs: nowMs });

  if (input.isTest) {
    const decision = responseClass.kind === "delivered" ? "delivered" : "failed";
    return { delivery: pending ? settle(decision) : counted, decision };
  }
  if (responseClass.kind === "delivered") {
    // A manual success delivers what was exhausted, failed or expired. Canceled and superseded deliveries keep their status.
    const settles = pending || (manual && ["exhausted", "failed", "expired"].includes(counted.status));
    return { delivery: settles ? settle("delivered") : counted, decision: "delivered" };
  }
  if (responseClass.kind === "gone") return { delivery: pending ? settle("failed") : counted, decision: "gone" };
  // A failure leaves a settled delivery as it is. A failed manual attempt leaves the schedule as it is, too.
  if (!pending) return { delivery: counted, decision: "failed" };
  if (manual) return { delivery: counted, decision: responseClass.kind === "deferred" ? "deferred" : "retry" };
  if (responseClass.kind === "refused") return { delivery: settle("failed"), decision: "failed" };
  const regularAtMs = broughtForwardFrom(input.delivery, input.attempt);
  if (responseClass.kind === "deferred") {
    const scheduledAtMs = regularAtMs !== null && regularAtMs > pauseEndsAtMs ? regularAtMs : null;
    const deferred = { ...counted, nextAttemptAtMs: pauseEndsAtMs, scheduledAtMs };
    if (regularAtMs !== null) return { delivery: { ...deferred, lastRecovery: null }, decision: "deferred" };
    // The start of the attempt counts, because an attempt follows a pause even if the pause ends after the span of the schedule.
    const late = startedAtMs - (firstAttemptAtMs ?? startedAtMs) > scheduleSpanMs(policy);
    if (late) return { delivery: settle("exhausted"), decision: "exhausted" };
    return { delivery: deferred, decision: "deferred" };
  }
  // An attempt that was brought forward spends nothing.
  if (regularAtMs !== null)
    return { delivery: { ...counted, nextAttemptAtMs: regularAtMs, scheduledAtMs: null, lastRecovery: null }, decision: "retry" };
  const stepsSpent = counted.stepsSpent + 1;
  const failed = {
    ...counted,
    stepsSpent,
    firstFailedAtMs: counted.firstFailedAtMs ?? nowMs,
    scheduledAtMs: null,
    lastRecovery: input.endpoint.health.recoveries,
  };
  const delayMs = delayBeforeStep(policy, stepsSpent, moment.jitter);
  if (delayMs === null)
    return { delivery: { ...settle("exhausted"), stepsSpent, firstFailedAtMs: failed.firstFailedAtMs }, decision: "exhausted" };
  return { delivery: { ...failed, nextAttemptAtMs: Math.max(nowMs + delayMs, pauseEndsAtMs) }, decision: "retry" };
}

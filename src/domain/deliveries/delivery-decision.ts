import { isAccepted } from "./attempt.ts";
import type { Attempt, AttemptDecision, AttemptOutcome } from "./attempt.ts";
import type { DeliveryState } from "./delivery.ts";
import { hasEndpointChanged } from "./endpoint.ts";
import type { EndpointHealth, EndpointReason, EndpointState } from "./endpoint.ts";
import { parseRetryAfter } from "./retry-after.ts";
import { delayBeforeStep, scheduleSpanMs } from "./retry-policy.ts";
import type { DeliveryPolicy } from "./retry-policy.ts";

/** The pause that holds for everything an account sends to one origin. */
export type HostHealth = {
  readonly pausedUntilMs: number | null;
  /** When the pause that ends at `pausedUntilMs` began; null without one. */
  readonly pausedSinceMs: number | null;
  readonly consecutivePauses: number;
};

export type EndpointStatus = {
  readonly state: EndpointState;
  readonly reason: EndpointReason | null;
  readonly sinceMs: number | null;
  readonly health: EndpointHealth;
};

export type AttemptInput = {
  /** As it stands now: it may have been settled while the attempt was on the wire. */
  readonly delivery: DeliveryState;
  readonly attempt: {
    readonly number: number;
    readonly startedAtMs: number;
    readonly durationMs: number;
    readonly outcome: AttemptOutcome;
    readonly mode: "scheduled" | "manual";
  };
  readonly endpoint: EndpointStatus;
  readonly host: HostHealth;
  /** `endpoint.test`: counts neither for nor against disabling. */
  readonly isTest: boolean;
};

export type AttemptResult = {
  readonly attempt: Attempt;
  readonly delivery: DeliveryState;
  readonly endpoint: EndpointStatus;
  readonly host: HostHealth;
  readonly endpointChange: "none" | "disabled_gone" | "disabled_failing";
};

/** What an outcome means before it meets the delivery's schedule. */
type ResponseClass = {
  readonly kind: "delivered" | "gone" | "deferred" | "failed" | "refused";
  readonly error: Attempt["error"];
  /** Whether endpoint and host pause, and for how long if the receiver said so. */
  readonly pause: { readonly retryAfterMs: number | null; readonly reason: "rate_limited" | "unavailable" } | null;
};

/**
 * What follows from one attempt: the delivery's next state, the endpoint's and its host's health. By the Standard
 * Webhooks specification 1.0.0 (2xx only, 410, 429, 502/504, Retry-After, no redirects).
 */
export function decideAfterAttempt(
  input: AttemptInput,
  policy: DeliveryPolicy,
  moment: { readonly nowMs: number; readonly jitter: number },
): AttemptResult {
  const { nowMs } = moment;
  const responseClass = classify(input.attempt.outcome, nowMs);
  const host = { ...input.host, ...pausedAfter(input.host, responseClass, policy, nowMs) };
  const endpoint = endpointAfter(input, responseClass, policy, nowMs);
  const pauseEndsAtMs = responseClass.pause === null ? 0 : Math.max(host.pausedUntilMs ?? 0, endpoint.health.pausedUntilMs ?? 0);
  const { delivery, decision } = deliveryAfter(input, responseClass, policy, moment, pauseEndsAtMs);
  return {
    attempt: {
      number: input.attempt.number,
      startedAtMs: input.attempt.startedAtMs,
      durationMs: input.attempt.durationMs,
      statusCode: input.attempt.outcome.statusCode,
      error: responseClass.error,
      responseExcerpt: input.attempt.outcome.kind === "answered" ? input.attempt.outcome.excerpt : null,
      decision,
    },
    delivery,
    endpoint,
    host,
    endpointChange: changeOf(input.endpoint, endpoint),
  };
}

/** Whether an attempt settled its delivery and made nothing else of its endpoint and host that is worth writing down. */
export function changesOnlyDelivery(
  before: Pick<AttemptInput, "endpoint" | "host">,
  { attempt, delivery, endpoint, host, endpointChange }: AttemptResult,
): boolean {
  return (
    attempt.decision === "delivered" &&
    delivery.status === "delivered" &&
    endpointChange === "none" &&
    !hasEndpointChanged(before.endpoint, endpoint) &&
    host.pausedUntilMs === before.host.pausedUntilMs &&
    host.consecutivePauses === before.host.consecutivePauses
  );
}

/** A 410 met by an endpoint that is disabled for another reason still ends its watches and hooks. */
function changeOf(before: EndpointStatus, after: EndpointStatus): AttemptResult["endpointChange"] {
  if (after.state !== "disabled" || (before.state === "disabled" && before.reason === after.reason)) return "none";
  return after.reason === "gone" ? "disabled_gone" : "disabled_failing";
}

function classify(outcome: AttemptOutcome, nowMs: number): ResponseClass {
  if (outcome.kind === "failed")
    return { kind: outcome.permanent ? "refused" : "failed", error: { code: outcome.code, detail: outcome.detail }, pause: null };
  const { statusCode } = outcome;
  const retryAfterMs = parseRetryAfter(outcome.retryAfter, nowMs);
  const asks = retryAfterMs === null ? "" : ` and asks to wait ${Math.ceil(retryAfterMs / 1000)} s`;
  const error = { code: "status", detail: `answered ${statusCode}${asks}` } as const;
  if (isAccepted(outcome)) return { kind: "delivered", error: null, pause: null };
  if (statusCode === 410) return { kind: "gone", error: { code: "gone", detail: "answered 410: wants no more webhooks" }, pause: null };
  if (statusCode === 429) return { kind: "deferred", error, pause: { retryAfterMs, reason: "rate_limited" } };
  if (statusCode === 503 && retryAfterMs !== null) return { kind: "deferred", error, pause: { retryAfterMs, reason: "unavailable" } };
  if (statusCode >= 502 && statusCode <= 504) return { kind: "failed", error, pause: { retryAfterMs, reason: "unavailable" } };
  if (statusCode >= 300 && statusCode <= 399)
    return {
      kind: "failed",
      error: { code: "redirect", detail: `answered ${statusCode}: redirects are never followed; register the final URL` },
      pause: null,
    };
  return { kind: "failed", error, pause: null };
}

/**
 * A pause that runs was met by attempts that were on the wire when it began: they may make it longer, but neither
 * double it nor end it.
 */
function pausedAfter(before: HostHealth, responseClass: ResponseClass, policy: DeliveryPolicy, nowMs: number): HostHealth {
  const running = before.pausedUntilMs !== null && before.pausedUntilMs > nowMs;
  if (responseClass.pause === null) {
    if (responseClass.kind !== "delivered" || running) return before;
    return { pausedUntilMs: null, pausedSinceMs: null, consecutivePauses: 0 };
  }
  const { retryAfterMs } = responseClass.pause;
  if (running) return { ...before, pausedUntilMs: Math.max(before.pausedUntilMs ?? 0, nowMs + (retryAfterMs ?? 0)) };
  const pauseMs = retryAfterMs ?? Math.min(policy.pauseMinMs * 2 ** Math.min(before.consecutivePauses, 30), policy.pauseMaxMs);
  return { pausedUntilMs: nowMs + pauseMs, pausedSinceMs: nowMs, consecutivePauses: before.consecutivePauses + 1 };
}

function endpointAfter(input: AttemptInput, responseClass: ResponseClass, policy: DeliveryPolicy, nowMs: number): EndpointStatus {
  const { endpoint, isTest } = input;
  const paused = pausedAfter(endpoint.health, responseClass, policy, nowMs);
  const pauseReason = paused.pausedUntilMs === null ? null : (responseClass.pause?.reason ?? endpoint.health.pauseReason);
  const health: EndpointHealth = { ...endpoint.health, ...paused, pauseReason };
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
  // Of what is settled at most an attempt by hand is owed, and this is it.
  const nextAttemptAtMs = pending ? input.delivery.nextAttemptAtMs : null;
  const counted: DeliveryState = { ...input.delivery, attemptCount: input.delivery.attemptCount + 1, firstAttemptAtMs, nextAttemptAtMs };
  const settle = (status: DeliveryState["status"]): DeliveryState => ({ ...counted, status, nextAttemptAtMs: null, settledAtMs: nowMs });

  if (input.isTest) {
    const decision = responseClass.kind === "delivered" ? "delivered" : "failed";
    return { delivery: pending ? settle(decision) : counted, decision };
  }
  if (responseClass.kind === "delivered") {
    // A success by hand settles what the schedule had given up; what was canceled or superseded stays so.
    const settles = pending || (manual && ["exhausted", "failed", "expired"].includes(counted.status));
    return { delivery: settles ? settle("delivered") : counted, decision: "delivered" };
  }
  if (responseClass.kind === "gone") return { delivery: pending ? settle("failed") : counted, decision: "gone" };
  // Nothing follows for what is settled; a failure by hand leaves the schedule as it was.
  if (!pending) return { delivery: counted, decision: "failed" };
  if (manual) return { delivery: counted, decision: responseClass.kind === "deferred" ? "deferred" : "retry" };
  if (responseClass.kind === "refused") return { delivery: settle("failed"), decision: "failed" };
  if (responseClass.kind === "deferred") {
    // Judged by when the attempt was made: a pause may end after the schedule's span, and one attempt still follows it.
    const late = startedAtMs - (firstAttemptAtMs ?? startedAtMs) > scheduleSpanMs(policy);
    if (late) return { delivery: settle("exhausted"), decision: "exhausted" };
    return { delivery: { ...counted, nextAttemptAtMs: pauseEndsAtMs }, decision: "deferred" };
  }
  const stepsSpent = counted.stepsSpent + 1;
  const failed = { ...counted, stepsSpent, firstFailedAtMs: counted.firstFailedAtMs ?? nowMs };
  const delayMs = delayBeforeStep(policy, stepsSpent, moment.jitter);
  if (delayMs === null)
    return { delivery: { ...settle("exhausted"), stepsSpent, firstFailedAtMs: failed.firstFailedAtMs }, decision: "exhausted" };
  return { delivery: { ...failed, nextAttemptAtMs: Math.max(nowMs + delayMs, pauseEndsAtMs) }, decision: "retry" };
}

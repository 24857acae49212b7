import type { AttemptInput } from "../../src/domain/deliveries/delivery-decision.ts";
import type { AttemptOutcome } from "../../src/domain/deliveries/attempt.ts";
import type { DeliveryState } from "../../src/domain/deliveries/delivery.ts";
import type { EndpointHealth } from "../../src/domain/deliveries/endpoint.ts";
import type { DeliveryPolicy } from "../../src/domain/deliveries/retry-policy.ts";

const [secondMs, minuteMs, hourMs] = [1000, 60_000, 3_600_000];

/** The service's defaults. */
export const policy: DeliveryPolicy = {
  scheduleMs: [0, 5 * secondMs, 5 * minuteMs, 30 * minuteMs, 2 * hourMs, 5 * hourMs, 10 * hourMs, 14 * hourMs, 20 * hourMs, 24 * hourMs],
  jitterRatio: 0.2,
  orderHoldMs: minuteMs,
  disableAfterMs: 120 * hourMs,
  disableMinAttempts: 10,
  failingAfterMs: hourMs,
  failingMinAttempts: 3,
  pauseMinMs: 5 * secondMs,
  pauseMaxMs: 5 * minuteMs,
  rateLimitedHosts: [],
};

export const startMs = Date.UTC(2026, 10, 24, 12);

export const healthy: EndpointHealth = {
  consecutiveFailures: 0,
  failingSinceMs: null,
  lastSuccessAtMs: null,
  pausedUntilMs: null,
  pausedSinceMs: null,
  consecutivePauses: 0,
  pauseReason: null,
  recoveries: 0,
  recoveredAtMs: null,
  isReportedFailing: false,
};

/** Never tried, due now. */
export const fresh: DeliveryState = {
  id: "dlv_1",
  status: "pending",
  attemptCount: 0,
  stepsSpent: 0,
  nextAttemptAtMs: startMs,
  firstAttemptAtMs: null,
  firstFailedAtMs: null,
  scheduledAtMs: null,
  lastRecovery: null,
  settledAtMs: null,
};

export function answered(statusCode: number, retryAfter: string | null = null): AttemptOutcome {
  return { kind: "answered", statusCode, retryAfter, excerpt: `body of ${statusCode}` };
}

/** A host of which no endpoint has answered 429. */
const noRateLimits = { endpointId: null, atMs: null, otherAtMs: null };

/** A scheduled attempt of 100 ms that began at `startMs`, at an endpoint nothing is wrong with. */
export function attemptInput(
  outcome: AttemptOutcome,
  over: {
    readonly delivery?: Partial<DeliveryState>;
    readonly attempt?: Partial<AttemptInput["attempt"]>;
    readonly endpoint?: Partial<Omit<AttemptInput["endpoint"], "health">>;
    readonly health?: Partial<EndpointHealth>;
    readonly host?: Partial<AttemptInput["host"]>;
    readonly endpointId?: string;
    readonly isTest?: boolean;
    readonly isReported?: boolean;
  } = {},
): AttemptInput {
  return {
    delivery: { ...fresh, ...over.delivery },
    attempt: { number: 1, startedAtMs: startMs, durationMs: 100, outcome, mode: "scheduled", ...over.attempt },
    endpointId: over.endpointId ?? "ep_1",
    origin: "https://crm.example.com:443",
    endpoint: { state: "enabled", reason: null, sinceMs: null, ...over.endpoint, health: { ...healthy, ...over.health } },
    host: { pausedUntilMs: null, pausedSinceMs: null, consecutivePauses: 0, rateLimits: noRateLimits, ...over.host },
    isTest: over.isTest ?? false,
    isReported: over.isReported ?? over.isTest !== true,
  };
}

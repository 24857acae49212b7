import { changesOnlyDelivery, decideAfterAttempt } from "../../domain/deliveries/delivery-decision.ts";
import type { AttemptInput, AttemptResult } from "../../domain/deliveries/delivery-decision.ts";
import type { DeliveryState } from "../../domain/deliveries/delivery.ts";
import type { DeliveryPolicy } from "../../domain/deliveries/retry-policy.ts";
import type { AttemptRecord } from "../../ports/stores/delivery-store.ts";
import { adapt, stateColumns } from "./delivery-columns.ts";
import type { Column } from "./delivery-columns.ts";

/**
 * A first attempt that delivers its delivery and changes nothing else. Most attempts are such. It holds if the statement that
 * writes it finds endpoint and host as `isHealthy` asks, and the delivery untried, leased, of a watch, and alone in its lane.
 */
export type PlainSuccess = { readonly record: AttemptRecord; readonly result: AttemptResult };

/** Returns the result of an attempt as a plain success; `null` if it cannot be one. */
export function asPlainSuccess(policy: DeliveryPolicy, record: AttemptRecord): PlainSuccess | null {
  const { deliveryId, outcome, startedAtMs, durationMs, mode, nowMs, jitter } = record;
  if (record.attemptNumber !== 1 || mode !== "scheduled") return null;
  const attempt = { number: 1, startedAtMs, durationMs, outcome, mode };
  const before = healthy(nowMs);
  const result = decideAfterAttempt({ delivery: { ...untried, id: deliveryId }, attempt, ...before }, policy, { nowMs, jitter });
  return changesOnlyDelivery(before, result) ? { record, result } : null;
}

const untried: Omit<DeliveryState, "id"> = {
  status: "pending",
  attemptCount: 0,
  stepsSpent: 0,
  nextAttemptAtMs: null,
  scheduledAtMs: null,
  lastRecovery: null,
  firstAttemptAtMs: null,
  firstFailedAtMs: null,
  settledAtMs: null,
};
const noPause = { pausedUntilMs: null, pausedSinceMs: null, consecutivePauses: 0 };

/** Returns the state that `isHealthy` asks for. Of a success, neither id nor origin of the endpoint matters. */
function healthy(nowMs: number): Omit<AttemptInput, "delivery" | "attempt"> {
  const health = {
    ...noPause,
    consecutiveFailures: 0,
    failingSinceMs: null,
    lastSuccessAtMs: nowMs,
    pauseReason: null,
    recoveries: 0,
    recoveredAtMs: null,
    isReportedFailing: false,
  };
  return {
    endpointId: "",
    origin: "",
    endpoint: { state: "enabled", reason: null, sinceMs: null, health },
    host: { ...noPause, rateLimits: { endpointId: null, atMs: null, otherAtMs: null } },
    isTest: false,
    isReported: false,
  };
}

/** Condition that a success changes nothing of an endpoint `p` and its host `h`, `last_success_at` excepted. */
export const isHealthy = `p.state = 'enabled' and p.consecutive_failures = 0 and p.reported_failing = false and p.failing_since is null and p.paused_until is null
  and p.consecutive_pauses = 0 and h.paused_until is null and h.consecutive_pauses = 0`;

/** Columns of deliveries that a plain success sets. */
export const plainSuccessColumns: readonly Column<PlainSuccess>[] = [
  ...stateColumns
    .filter(({ onPlainSuccess }) => onPlainSuccess === "decided")
    .map((column) => adapt(column, ({ result }: PlainSuccess) => result.delivery)),
  { name: "attempt_duration_ms", type: "integer", valueOf: ({ result }) => Math.round(result.attempt.durationMs) },
  { name: "attempt_status_code", type: "integer", valueOf: ({ result }) => result.attempt.statusCode },
  { name: "attempt_response_excerpt", type: "text", valueOf: ({ result }) => result.attempt.responseExcerpt },
];

/** Assignments of a plain success that are the same for all. */
export const plainSuccessConstants: readonly string[] = [
  ...stateColumns.flatMap(({ name, onPlainSuccess }) =>
    typeof onPlainSuccess === "object" ? [`${name} = ${onPlainSuccess.constant}`] : [],
  ),
  "due_at = null",
  "lease_token = null",
  "retry_accepted_at = null",
];

import type { EndpointFormat } from "../webhooks/webhook-content.ts";
import { pauseReasons } from "./response-class.ts";
import type { PauseReason } from "./response-class.ts";

export type SignatureScheme = "v1" | "v1a";
/** Treatment of an undelivered event after a later one of its lane was delivered: still sent, or dropped. */
export type LatePolicy = "send" | "drop";
/**
 * Stored state. A client sets `paused` by PATCH. A pause after an answer is not a state: it is `pausedUntilMs` of an
 * enabled endpoint or its host.
 */
export type EndpointState = "enabled" | "paused" | "disabled";
/** Reasons why an endpoint is not enabled: a request of its owner, a 410, repeated failures, or the reason of a running pause. */
export const endpointReasons = ["client", "gone", "failing", ...pauseReasons] as const;
export type EndpointReason = (typeof endpointReasons)[number];

/** Recent results of an endpoint; input and output of `decideAfterAttempt`. */
export type EndpointHealth = {
  /** Number of failed attempts in a row, deferrals excluded. 0 after a 2xx. */
  readonly consecutiveFailures: number;
  readonly failingSinceMs: number | null;
  readonly lastSuccessAtMs: number | null;
  readonly pausedUntilMs: number | null;
  /** Time when the pause that ends at `pausedUntilMs` began; `null` if there is none. */
  readonly pausedSinceMs: number | null;
  /**
   * Number of pauses in a row; 0 after a 2xx. Each doubles the next pause without `Retry-After`. While it is above 0, one
   * delivery at a time is sent.
   */
  readonly consecutivePauses: number;
  readonly pauseReason: PauseReason | null;
  /** Number of 2xx that followed a failure. Each brings forward what failed before it. */
  readonly recoveries: number;
  /** Time of the last of them; `null` before the first. */
  readonly recoveredAtMs: number | null;
  /** Whether `endpoint.failing` was published, and `endpoint.recovered` not yet. */
  readonly isReportedFailing: boolean;
};

/** Destination of webhooks, identified by account and URL. Contains neither secrets nor header values. */
export type Endpoint = {
  readonly id: string;
  readonly accountId: string;
  readonly url: string;
  /** scheme://host:port, with the port always written. Account and origin together identify the limits and pauses of the host. */
  readonly origin: string;
  readonly format: EndpointFormat;
  /** Stored text of the template; `null` unless the format is `template`. */
  readonly request: string | null;
  readonly headerNames: readonly string[];
  readonly signatures: readonly SignatureScheme[];
  readonly late: LatePolicy;
  readonly maxInFlight: number | null;
  readonly maxPerSecond: number | null;
  readonly state: EndpointState;
  readonly reason: EndpointReason | null;
  readonly sinceMs: number | null;
  readonly health: EndpointHealth;
  readonly createdAtMs: number;
};

/** Returns the running pause of an endpoint or its host; `null` if none runs. An ended pause stays stored. */
export function pauseInForce(
  { pausedUntilMs, pausedSinceMs, pauseReason }: EndpointHealth,
  host: { readonly pausedUntilMs: number | null; readonly pausedSinceMs: number | null },
  nowMs: number,
): { readonly untilMs: number; readonly sinceMs: number | null; readonly reason: EndpointHealth["pauseReason"] | "host" } | null {
  const own = { untilMs: pausedUntilMs ?? 0, sinceMs: pausedSinceMs, reason: pauseReason };
  const ofHost = { untilMs: host.pausedUntilMs ?? 0, sinceMs: host.pausedSinceMs, reason: "host" as const };
  const running = [own, ofHost].filter(({ untilMs }) => untilMs > nowMs);
  const [first] = running;
  return first === undefined ? null : { ...first, untilMs: Math.max(...running.map(({ untilMs }) => untilMs)) };
}

/**
 * Returns the state as the API shows it: `paused` also while a pause runs. `pausedUntilMs` is the end of the endpoint's
 * pause or its host's, the later of the two.
 */
export function effectiveState(
  { state, pausedUntilMs }: { readonly state: EndpointState; readonly pausedUntilMs: number | null },
  nowMs: number,
): EndpointState {
  return state === "enabled" && pausedUntilMs !== null && pausedUntilMs > nowMs ? "paused" : state;
}

/**
 * Whether new deliveries may be leased in the transaction that creates them: the endpoint is enabled, and neither it nor
 * its host was paused since the last success. After a pause deliveries are sent one at a time; only a claim can enforce
 * that.
 */
export function mayLeaseNow(target: {
  readonly state: EndpointState;
  readonly health: Pick<EndpointHealth, "consecutivePauses">;
  readonly hostConsecutivePauses: number;
}): boolean {
  return target.state === "enabled" && target.health.consecutivePauses === 0 && target.hostConsecutivePauses === 0;
}

/** Precision of `last_success_at`: a healthy endpoint is written at most once in this time. */
const lastSuccessPrecisionMs = 1000;

type Comparable = Pick<Endpoint, "state" | "reason" | "health">;

/** Whether the change of an endpoint by an attempt must be written. */
export function hasEndpointChanged(before: Comparable, after: Comparable): boolean {
  const { state, reason, health } = after;
  if (state !== before.state || reason !== before.reason) return true;
  const keys = Object.keys(health) as (keyof EndpointHealth)[];
  if (keys.some((key) => key !== "lastSuccessAtMs" && health[key] !== before.health[key])) return true;
  return isLastSuccessOutdated(before.health.lastSuccessAtMs, health.lastSuccessAtMs);
}

/** Whether the stored time of the last success must be written again after one at `lastSuccessAtMs`. */
export function isLastSuccessOutdated(storedMs: number | null, lastSuccessAtMs: number | null): boolean {
  const sinceWrittenMs = (lastSuccessAtMs ?? 0) - (storedMs ?? 0);
  return sinceWrittenMs < 0 || sinceWrittenMs >= lastSuccessPrecisionMs;
}

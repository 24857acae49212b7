import { pauseReasons } from "./response-class.ts";
import type { PauseReason } from "./response-class.ts";

export const payloadFormats = ["standard", "flat", "form", "cloudevents"] as const;
export type PayloadFormat = (typeof payloadFormats)[number];
export type SignatureScheme = "v1" | "v1a";
/** What happens to an undelivered earlier event once a later one of its lane was delivered. */
export type LatePolicy = "send" | "drop";
/** As stored. `paused` is the client's own (PATCH); a pause by 429 or 5xx is `pausedUntilMs` on an enabled endpoint or its host. */
export type EndpointState = "enabled" | "paused" | "disabled";
/** Why an endpoint is not enabled: its owner's wish, a 410, nothing but failures, or the reason of a running pause. */
export const endpointReasons = ["client", "gone", "failing", ...pauseReasons] as const;
export type EndpointReason = (typeof endpointReasons)[number];

/** How an endpoint has been doing; input and output of `decideAfterAttempt`. */
export type EndpointHealth = {
  /** Attempts in a row that failed; deferrals are none. 0 after a 2xx. */
  readonly consecutiveFailures: number;
  readonly failingSinceMs: number | null;
  readonly lastSuccessAtMs: number | null;
  readonly pausedUntilMs: number | null;
  /** When the pause that ends at `pausedUntilMs` began; null without one. */
  readonly pausedSinceMs: number | null;
  /** Pauses in a row; they double those without a `Retry-After`, and while above 0 one delivery at a time goes. 0 after a 2xx. */
  readonly consecutivePauses: number;
  readonly pauseReason: PauseReason | null;
};

/** (account, URL): where webhooks go. Secrets and header values are not here. */
export type Endpoint = {
  readonly id: string;
  readonly accountId: string;
  readonly url: string;
  /** scheme://host:port, port always written; with the account it names the host gate. */
  readonly origin: string;
  readonly format: PayloadFormat;
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

/** The pause after a 429 or 5xx that is in force, an endpoint's own or its host's; an earlier one is remembered after its end. */
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

/** As the API shows it: paused also while a pause by 429 or 5xx runs. `pausedUntilMs`: the later of its own and its host's. */
export function effectiveState(
  { state, pausedUntilMs }: { readonly state: EndpointState; readonly pausedUntilMs: number | null },
  nowMs: number,
): EndpointState {
  return state === "enabled" && pausedUntilMs !== null && pausedUntilMs > nowMs ? "paused" : state;
}

/**
 * Whether new deliveries may be leased in the transaction that creates them: the endpoint is enabled and neither it nor its
 * host has paused since the last success. After a pause a single delivery goes first, which only a claim ensures.
 */
export function mayLeaseNow(target: {
  readonly state: EndpointState;
  readonly health: Pick<EndpointHealth, "consecutivePauses">;
  readonly hostConsecutivePauses: number;
}): boolean {
  return target.state === "enabled" && target.health.consecutivePauses === 0 && target.hostConsecutivePauses === 0;
}

/** To what `last_success_at` is precise: an endpoint that goes on doing well is written once in so long. */
const lastSuccessPrecisionMs = 1000;

type Standing = Pick<Endpoint, "state" | "reason" | "health">;

/** Whether what an attempt made of an endpoint is worth writing down. */
export function hasEndpointChanged(before: Standing, after: Standing): boolean {
  const { state, reason, health } = after;
  if (state !== before.state || reason !== before.reason) return true;
  const keys = Object.keys(health) as (keyof EndpointHealth)[];
  if (keys.some((key) => key !== "lastSuccessAtMs" && health[key] !== before.health[key])) return true;
  const sinceNotedMs = (health.lastSuccessAtMs ?? 0) - (before.health.lastSuccessAtMs ?? 0);
  return sinceNotedMs < 0 || sinceNotedMs >= lastSuccessPrecisionMs;
}

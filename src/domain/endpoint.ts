export type PayloadFormat = "standard" | "flat" | "form" | "cloudevents";
export type SignatureScheme = "v1" | "v1a";
/** What happens to an undelivered earlier event once a later one of its lane was delivered. */
export type LatePolicy = "send" | "drop";
/** As stored. `paused` is the client's own (PATCH); a pause by 429 or 5xx is `pausedUntilMs` on an enabled endpoint or its host. */
export type EndpointState = "enabled" | "paused" | "disabled";
export type EndpointReason = "client" | "gone" | "failing" | "rate_limited" | "unavailable";

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
  readonly pauseReason: "rate_limited" | "unavailable" | null;
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

/** To what `last_success_at` is precise: an endpoint that goes on doing well is written once in so long. */
const lastSuccessPrecisionMs = 1000;

type Standing = Pick<Endpoint, "state" | "reason" | "health">;

/** Whether what an attempt made of an endpoint is worth writing down. */
export function isEndpointNews(before: Standing, after: Standing): boolean {
  const { state, reason, health } = after;
  if (state !== before.state || reason !== before.reason) return true;
  const keys = Object.keys(health) as (keyof EndpointHealth)[];
  if (keys.some((key) => key !== "lastSuccessAtMs" && health[key] !== before.health[key])) return true;
  const sinceNotedMs = (health.lastSuccessAtMs ?? 0) - (before.health.lastSuccessAtMs ?? 0);
  return sinceNotedMs < 0 || sinceNotedMs >= lastSuccessPrecisionMs;
}

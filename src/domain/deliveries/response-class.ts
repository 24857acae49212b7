import type { Attempt, AttemptErrorCode, AttemptOutcome } from "./attempt.ts";

/** Reasons of a pause that a receiver's answer begins; part of an endpoint's `reason` in the API. */
export const pauseReasons = ["rate_limited", "unavailable"] as const;
export type PauseReason = (typeof pauseReasons)[number];

/** Time within which the same answer of two endpoints pauses their host. */
export const spreadWithinMs = 60_000;

export type Pause = {
  /**
   * - `host`: everything that the account sends to the same host (scheme, host, port); `both`: endpoint and host.
   * - `spreading`: the endpoint, and its host as well if that has a rate limit of its own or if another endpoint of it gave
   *   the same answer within `spreadWithinMs`.
   */
  readonly scope: "endpoint" | "host" | "both" | "spreading";
  readonly reason: PauseReason;
  /** Shortest pause in milliseconds. `Retry-After` or the retry policy may require a longer one. */
  readonly minMs: number;
};

/** Meaning of one answer, or of its absence, for the delivery, its endpoint and its host. */
export type ResponseClass = {
  /**
   * - `delivered`: settles the delivery and ends the endpoint's failures.
   * - `gone`: disables the endpoint, cancels its watches and removes its hooks.
   * - `deferred`: spends no step of the schedule and is no failure of the endpoint.
   * - `failed`: spends a step of the schedule.
   * - `refused`: fails the delivery for good.
   */
  readonly kind: "delivered" | "gone" | "deferred" | "failed" | "refused";
  /** `null` if the attempt delivered. */
  readonly errorCode: AttemptErrorCode | null;
  readonly pause: Pause | null;
  /** Whether the answer halves the limit in flight of the host, because the host is overloaded or cannot be reached. */
  readonly slowsHost: boolean;
  /** Text behind "answered <status>: " in the attempt's error; `null` if the status suffices. */
  readonly detail: string | null;
  /** Next step of the service, as the OpenAPI document states it for the developers of the receiver. */
  readonly consequence: string;
  /** Advice for the developers of the receiver; `null` if they need not act. */
  readonly advice: string | null;
};

type StatusRow = ResponseClass & {
  /** Status codes from the first to the last, both included. */
  readonly statuses: readonly [from: number, to: number];
  /** Applies only to answers with a usable `Retry-After`. */
  readonly needsRetryAfter?: boolean;
};

const retried = "retried by the schedule";
const failed = { kind: "failed", errorCode: "status", pause: null, slowsHost: false, detail: null, consequence: retried } as const;
const unavailable = { scope: "both", reason: "unavailable", minMs: 0 } as const;
const proxyAdvice = "A proxy answers, but the receiver behind it does not. Check that the receiver runs.";
const bodyAdvice = "The receiver does not accept this body. Another `format` of the endpoint may work.";
const refusalAdvice =
  "The receiver refuses the request. Set the `headers` that its check needs, verify that it uses this endpoint's secret, or look for a firewall that blocks POSTs.";

/**
 * Meaning of each status code, according to the Standard Webhooks specification 1.0.0: only a 2xx is accepted, redirects
 * are not followed, and 410, 429, 502, 504 and `Retry-After` are obeyed. The first row that applies counts.
 * `anyOtherStatus` counts if none applies.
 */
const statusRows: readonly StatusRow[] = [
  { ...failed, statuses: [200, 299], kind: "delivered", errorCode: null, consequence: "delivered", advice: null },
  {
    ...failed,
    statuses: [410, 410],
    kind: "gone",
    errorCode: "gone",
    detail: "wants no more webhooks",
    consequence: "the endpoint is disabled",
    advice: "The receiver answered 410, so the endpoint was disabled. To resume, enable it or name its URL in a new watch.",
  },
  {
    ...failed,
    statuses: [429, 429],
    kind: "deferred",
    pause: { scope: "spreading", reason: "rate_limited", minMs: 0 },
    slowsHost: true,
    consequence: "nothing is sent until `Retry-After`",
    advice: "The receiver asks for fewer webhooks, so the endpoint pauses. Set `max_per_second` of the endpoint to stay below its limit.",
  },
  {
    ...failed,
    statuses: [503, 503],
    needsRetryAfter: true,
    kind: "deferred",
    pause: unavailable,
    slowsHost: true,
    consequence: "nothing is sent until `Retry-After`",
    advice: proxyAdvice,
  },
  {
    ...failed,
    statuses: [502, 504],
    pause: unavailable,
    slowsHost: true,
    consequence: `${retried}, after a pause of the endpoint`,
    advice: proxyAdvice,
  },
  {
    ...failed,
    statuses: [300, 399],
    errorCode: "redirect",
    detail: "redirects are never followed; register the final URL",
    advice: "Redirects are never followed: register the URL that the redirect points to.",
  },
  { ...failed, statuses: [401, 401], advice: refusalAdvice },
  { ...failed, statuses: [403, 403], advice: refusalAdvice },
  {
    ...failed,
    statuses: [404, 404],
    advice: "The path does not exist at the receiver. Check the URL. Automation tools answer 404 while a workflow is inactive.",
  },
  { ...failed, statuses: [405, 405], advice: "The receiver does not accept POST at this path. Check the URL." },
  { ...failed, statuses: [413, 413], advice: bodyAdvice },
  { ...failed, statuses: [415, 415], advice: bodyAdvice },
  {
    ...failed,
    statuses: [500, 599],
    advice: "The receiver failed while it handled the webhook. Search its log for this webhook-id.",
  },
];
const anyOtherStatus: ResponseClass = {
  ...failed,
  advice: "The receiver refused the webhook; only a 2xx counts as delivered. Its log and the answer below show the reason.",
};

type FailureCode = Extract<AttemptOutcome, { kind: "failed" }>["code"];

/** Advice after an exchange without a complete answer. */
const failureAdvice: Readonly<Record<FailureCode, string>> = {
  timeout: "The receiver must answer within 15 s (unless the operator set another time): answer 2xx first and do the work afterwards.",
  connect: "No server answers at this address and port. Check that the receiver runs and that its firewall admits this service.",
  reset: "The receiver, or a proxy in front of it, closed the connection before the answer was complete. Check their logs.",
  tls: "The certificate is not trusted: it may be expired, self-signed, for another name, or sent without its intermediate certificates.",
  dns: "The host name does not resolve: check its spelling and its DNS records.",
  protocol: "The server's answer is not valid HTTP. Check the port.",
  blocked_address: "The address is not public and therefore refused. The operator can allow it (CALLBACK_ALLOW).",
};

/** Failures that are no sign of an overloaded or unreachable host. */
const sparesHost: ReadonlySet<FailureCode> = new Set<FailureCode>(["protocol", "blocked_address"]);

function classifyFailure(code: FailureCode): ResponseClass {
  return { ...failed, errorCode: code, slowsHost: !sparesHost.has(code), advice: failureAdvice[code] };
}

/** Returns the class of an outcome. `retryAfterMs` is the answer's `Retry-After`; `null` if it has no usable one. */
export function classifyOutcome(outcome: AttemptOutcome, retryAfterMs: number | null): ResponseClass {
  if (outcome.kind === "answered") return classifyStatus(outcome.statusCode, retryAfterMs);
  const failure = classifyFailure(outcome.code);
  return outcome.permanent ? { ...failure, kind: "refused" } : failure;
}

/** Returns the class that a recorded attempt had. A recorded attempt has no `Retry-After`, so the header counts as absent. */
export function classifyAttempt({ statusCode, error }: Pick<Attempt, "statusCode" | "error">): ResponseClass {
  if (error !== null && error.code in failureAdvice) return classifyFailure(error.code as FailureCode);
  return classifyStatus(statusCode ?? 0, null);
}

/** Whether the receiver accepted the webhook: a complete answer with a status of the class `delivered`. */
export function isAccepted(outcome: AttemptOutcome): boolean {
  return classifyOutcome(outcome, null).kind === "delivered";
}

/** Whether the answer disables the endpoint at once. */
export function disablesEndpoint(outcome: AttemptOutcome): boolean {
  return classifyOutcome(outcome, null).kind === "gone";
}

/** Returns the consequences of the statuses from `from` to `to` in sentences, those of single statuses first. */
export function describeConsequences(from: number, to: number): string {
  const rows = statusRows.filter(({ statuses, consequence }) => statuses[0] >= from && statuses[1] <= to && consequence !== retried);
  const sentences = rows.map(
    ({ statuses, needsRetryAfter, consequence }) =>
      `${rangeText(statuses)}${needsRetryAfter === true ? " with `Retry-After`" : ""}: ${consequence}.`,
  );
  return [...sentences, `Any other: ${retried}.`].join(" ");
}

/** Lists the statuses that begin a pause, as in "502, 503 or 504"; either those of one reason, or those that pause the whole host. */
export function listPausingStatuses(which: PauseReason | "host"): string {
  const rows = statusRows.filter(({ pause }) => pause !== null && (which === "host" ? pause.scope !== "endpoint" : pause.reason === which));
  const statuses = rows.flatMap(({ statuses: [from, to] }) => Array.from({ length: to - from + 1 }, (_, index) => from + index));
  const texts = [...new Set(statuses)].toSorted((a, b) => a - b).map(String);
  return [texts.slice(0, -1).join(", "), texts.at(-1)].filter((text) => text !== "").join(" or ");
}

function classifyStatus(statusCode: number, retryAfterMs: number | null): ResponseClass {
  return (
    statusRows.find(
      ({ statuses: [from, to], needsRetryAfter }) =>
        statusCode >= from && statusCode <= to && (needsRetryAfter !== true || retryAfterMs !== null),
    ) ?? anyOtherStatus
  );
}

function rangeText([from, to]: StatusRow["statuses"]): string {
  return from === to ? String(from) : `${from} to ${to}`;
}

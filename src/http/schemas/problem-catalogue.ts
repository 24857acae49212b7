import { describeQuota } from "../../domain/quotas.ts";
type ProblemKind = {
  readonly status: number;
  readonly title: string;
  /** Condition under which the problem is answered; text of the OpenAPI document. */
  readonly meaning: string;
  /** Members of the document's example besides type, title, status and request id. */
  readonly example: { readonly detail: string; readonly [member: string]: unknown };
};

const callSidFault = { pointer: "/call_sid", detail: "must be OUT- and 1 to 128 letters, digits, _ or -" };
const blockedFault = { pointer: "/callback_url", detail: "has an address that is not public" };
const noSourceFault = {
  pointer: "/source",
  detail: 'there is no source "uk" for this account; GET /v1/sources lists what it may use',
};
const keyFault = { parameter: "Idempotency-Key", detail: "was used with another body" };
const unchanged = "nothing was accepted or changed; try again in a moment";

/**
 * Every problem by the slug that completes `urn:ringback:problem:` (RFC 9457). Programs rely on slugs, so a slug never
 * changes its meaning. Titles and details are for people.
 */
export const problemCatalogue = {
  "bad-request": {
    status: 400,
    title: "Bad request",
    meaning: "The request is not valid HTTP.",
    example: { detail: "the request is not valid HTTP" },
  },
  "malformed-json": {
    status: 400,
    title: "Malformed JSON",
    meaning: "The body is not JSON in UTF-8.",
    example: { detail: "the body is not JSON in UTF-8" },
  },
  unauthorized: {
    status: 401,
    title: "Unauthorized",
    meaning: "The API key is missing, unknown or revoked.",
    example: { detail: "send an API key as `Authorization: Bearer <key>` or `X-API-Key: <key>`" },
  },
  "quota-exceeded": {
    status: 403,
    title: "Quota exceeded",
    meaning: "The account has reached a quota.",
    example: { detail: describeQuota({ kind: "quota_exceeded", quota: "maxActiveWatches", limit: 200_000 }) },
  },
  "not-found": {
    status: 404,
    title: "Not found",
    meaning: "The account has no resource of this id.",
    example: { detail: "there is no such watch in this account" },
  },
  "method-not-allowed": {
    status: 405,
    title: "Method not allowed",
    meaning: "The path does not support this method; `Allow` lists those it does.",
    example: { detail: "PUT is not allowed here; use GET, HEAD or POST" },
  },
  "request-timeout": {
    status: 408,
    title: "Request timeout",
    meaning: "The request did not arrive in time.",
    example: { detail: "the request did not arrive in time" },
  },
  "watch-differs": {
    status: 409,
    title: "Watch differs",
    meaning: "A watch exists with other `events` or `metadata`; `watch_id` names it.",
    example: {
      detail: "watch wch_1kw4kg04000 covers this call and URL with different metadata; delete it first or leave them out",
      watch_id: "wch_1kw4kg04000",
    },
  },
  "endpoint-differs": {
    status: 409,
    title: "Endpoint differs",
    meaning: "The endpoint of this URL has another format, other headers or another secret; `endpoint_id` names it.",
    example: {
      detail:
        "endpoint ep_1kw4kg04000 exists with different format, headers; leave them out to keep it as it is, or change it (PATCH; signing_secret: rotate-secret)",
      endpoint_id: "ep_1kw4kg04000",
    },
  },
  "endpoint-disabled": {
    status: 409,
    title: "Endpoint disabled",
    meaning: "The endpoint is disabled, so nothing is sent to it.",
    example: { detail: "the endpoint is disabled: enable it first (PATCH state)" },
  },
  "watch-deleted": {
    status: 409,
    title: "Watch deleted",
    meaning: "The watch was deleted, so its events are no longer sent.",
    example: { detail: "the watch was deleted, so its events are no longer sent" },
  },
  "in-flight": {
    status: 409,
    title: "In flight",
    meaning: "An attempt of the delivery is in flight.",
    example: { detail: "an attempt of the delivery is in flight" },
  },
  "idempotency-in-progress": {
    status: 409,
    title: "In progress",
    meaning: "A request with this `Idempotency-Key` is running; try again in a second. This answer is never stored.",
    example: { detail: "a request with this Idempotency-Key is running" },
  },
  "payload-too-large": {
    status: 413,
    title: "Payload too large",
    meaning: "The body is larger than 1 MiB (the batch: 4 MiB).",
    example: { detail: "the request body exceeds 1048576 bytes" },
  },
  "unsupported-media-type": {
    status: 415,
    title: "Unsupported media type",
    meaning: "The body is not `application/json`, or it is compressed.",
    example: { detail: "send content-type: application/json, without a content-encoding" },
  },
  "expectation-failed": {
    status: 417,
    title: "Expectation failed",
    meaning: "`Expect` has a value other than `100-continue`.",
    example: { detail: "the only supported expectation is 100-continue" },
  },
  "invalid-request": {
    status: 422,
    title: "Invalid request",
    meaning: "The request has invalid values; `errors` lists each with its place.",
    example: { detail: `${callSidFault.pointer}: ${callSidFault.detail}`, errors: [callSidFault] },
  },
  "no-source": {
    status: 422,
    title: "No such source",
    meaning: "The source does not exist, or the account may not use it.",
    example: { detail: `${noSourceFault.pointer}: ${noSourceFault.detail}`, errors: [noSourceFault] },
  },
  "blocked-address": {
    status: 422,
    title: "Blocked address",
    meaning: "Webhooks must not be sent to this address.",
    example: { detail: `${blockedFault.pointer}: ${blockedFault.detail}`, errors: [blockedFault] },
  },
  "idempotency-mismatch": {
    status: 422,
    title: "Idempotency mismatch",
    meaning: "This `Idempotency-Key` was used with another body.",
    example: { detail: `${keyFault.parameter}: ${keyFault.detail}`, errors: [keyFault] },
  },
  "rate-limited": {
    status: 429,
    title: "Too many requests",
    meaning: "The account exceeded its rate limit, or an endpoint is tested or retried more than once a second.",
    example: { detail: "rate limit exceeded: 1000 requests per second per account" },
  },
  "source-saturated": {
    status: 429,
    title: "Source saturated",
    meaning: "The source has reached the number of calls that its rate limit can poll.",
    example: { detail: "source default has reached the number of calls that its rate limit can poll" },
  },
  "headers-too-large": {
    status: 431,
    title: "Headers too large",
    meaning: "Request line and headers exceed 16 KiB.",
    example: { detail: "request line and headers exceed 16384 bytes" },
  },
  internal: {
    status: 500,
    title: "Internal error",
    meaning: "The service has a fault; the request id finds it in the logs.",
    example: { detail: "the service has a fault; the request id finds it in the logs" },
  },
  "store-unavailable": {
    status: 503,
    title: "Not available",
    meaning: "The database cannot be reached, or the service is stopping.",
    example: { detail: unchanged },
  },
  "store-overloaded": {
    status: 503,
    title: "Overloaded",
    meaning: "The service is at its capacity; try again later.",
    example: { detail: unchanged },
  },
  interrupted: {
    status: 503,
    title: "Interrupted",
    meaning: "The attempt was accepted, but its result could not be recorded because the service is stopping.",
    example: { detail: "the attempt was accepted, but its result could not be recorded; check GET /v1/deliveries" },
  },
  "not-ready": {
    status: 503,
    title: "Not ready",
    meaning: "This process cannot accept registrations; `detail` says why.",
    example: { detail: "the store cannot be written", ready: false, degraded: [] },
  },
} as const satisfies Record<string, ProblemKind>;

export type ProblemSlug = keyof typeof problemCatalogue;

/** Problems that always carry a `Retry-After` field. */
const retryable: ReadonlySet<ProblemSlug> = new Set<ProblemSlug>([
  "idempotency-in-progress",
  "rate-limited",
  "source-saturated",
  "store-unavailable",
  "store-overloaded",
  "interrupted",
  "not-ready",
]);

export function problemKindOf(slug: ProblemSlug): ProblemKind {
  return problemCatalogue[slug];
}

export function saysWhenToRetry(slug: ProblemSlug): boolean {
  return retryable.has(slug);
}

export function problemType(slug: ProblemSlug): string {
  return `urn:ringback:problem:${slug}`;
}

/** Detail of a 404 and of a filter that cannot name anything: the same for an unknown id and one of another account. */
export const unknownDetail = (what: string) => `there is no such ${what} in this account`;

import { describeQuota } from "../../domain/quotas.ts";

type ProblemKind = {
  readonly status: number;
  readonly title: string;
  /** Default detail of an answer, and the detail of the example in the OpenAPI document. */
  readonly detail: string;
  /** Condition under which the problem is answered; text of the OpenAPI document. */
  readonly meaning: string;
  /** Further members of the document's example. */
  readonly members: Readonly<Record<string, unknown>>;
};

/** Creates a kind. The meaning is the detail as a sentence, unless another one is given. */
const kind = (
  status: number,
  title: string,
  detail: string,
  given: Partial<Pick<ProblemKind, "meaning" | "members">> = {},
): ProblemKind => ({
  status,
  title,
  detail,
  meaning: `${detail.charAt(0).toUpperCase()}${detail.slice(1)}.`,
  members: {},
  ...given,
});

type Fault = { readonly detail: string } & ({ readonly pointer: string } | { readonly parameter: string });

/** Creates a kind of 422. Its detail sums up the faults of the request. */
const faulty = (title: string, meaning: string, fault: Fault): ProblemKind =>
  kind(422, title, `${"pointer" in fault ? fault.pointer : fault.parameter}: ${fault.detail}`, { meaning, members: { errors: [fault] } });

const watchId = "wch_1kw4kg04000";
const endpointId = "ep_1kw4kg04000";
const unchanged = "nothing was accepted or changed; try again in a moment";

/**
 * Every problem by the slug that completes `urn:ringback:problem:` (RFC 9457). Programs rely on slugs, so a slug never
 * changes its meaning. Titles and details are for people.
 */
export const problemCatalogue = {
  "bad-request": kind(400, "Bad request", "the request is not valid HTTP"),
  "malformed-json": kind(400, "Malformed JSON", "the body is not JSON in UTF-8"),
  unauthorized: kind(401, "Unauthorized", "the API key is missing; send it as `Authorization: Bearer <key>` or `X-API-Key: <key>`", {
    meaning: "The API key is missing, unknown or revoked; `detail` says which.",
  }),
  "quota-exceeded": kind(403, "Quota exceeded", describeQuota({ kind: "quota_exceeded", quota: "maxActiveWatches", limit: 200_000 }), {
    meaning: "The account has reached a quota.",
  }),
  "not-found": kind(404, "Not found", unknownDetail("watch"), { meaning: "The account has no resource of this id." }),
  "method-not-allowed": kind(405, "Method not allowed", "PUT is not allowed here; use GET, HEAD or POST", {
    meaning: "The path does not support this method; `Allow` lists those it does.",
  }),
  "request-timeout": kind(408, "Request timeout", "the request did not arrive in time"),
  "watch-differs": kind(
    409,
    "Watch differs",
    `watch ${watchId} covers this call and URL with different metadata; delete it first or leave them out`,
    {
      meaning: "A watch exists with other `events` or `metadata`; `watch_id` names it.",
      members: { watch_id: watchId },
    },
  ),
  "endpoint-differs": kind(
    409,
    "Endpoint differs",
    `endpoint ${endpointId} exists with different format, headers; leave them out to keep it as it is, or change it (PATCH; signing_secret: rotate-secret)`,
    {
      meaning: "The endpoint of this URL has another format, other headers or another secret; `endpoint_id` names it.",
      members: { endpoint_id: endpointId },
    },
  ),
  "endpoint-disabled": kind(409, "Endpoint disabled", "the endpoint is disabled: enable it first (PATCH state)", {
    meaning: "The endpoint is disabled, so nothing is sent to it.",
  }),
  "watch-deleted": kind(409, "Watch deleted", "the watch was deleted, so its events are no longer sent"),
  "in-flight": kind(409, "In flight", "an attempt of the delivery is in flight"),
  "idempotency-in-progress": kind(409, "In progress", "a request with this Idempotency-Key is running", {
    meaning: "A request with this `Idempotency-Key` is running; try again in a second. This answer is never stored.",
  }),
  "payload-too-large": kind(413, "Payload too large", "the request body exceeds 1048576 bytes", {
    meaning: "The body is larger than 1 MiB (the batch: 4 MiB).",
  }),
  "unsupported-media-type": kind(415, "Unsupported media type", "send content-type: application/json, without a content-encoding", {
    meaning: "The body is not `application/json`, or it is compressed.",
  }),
  "expectation-failed": kind(417, "Expectation failed", "the only supported expectation is 100-continue", {
    meaning: "`Expect` has a value other than `100-continue`.",
  }),
  "invalid-request": faulty("Invalid request", "The request has invalid values; `errors` lists each with its place.", {
    pointer: "/call_sid",
    detail: "must be OUT- and 1 to 128 letters, digits, _ or -",
  }),
  "no-source": faulty("No such source", "The source does not exist, or the account may not use it.", {
    pointer: "/source",
    detail: 'there is no source "uk" for this account; GET /v1/sources lists what it may use',
  }),
  "blocked-address": faulty("Blocked address", "Webhooks must not be sent to this address.", {
    pointer: "/callback_url",
    detail: "has an address that is not public",
  }),
  "idempotency-mismatch": faulty("Idempotency mismatch", "This `Idempotency-Key` was used with another body.", {
    parameter: "Idempotency-Key",
    detail: "was used with another body",
  }),
  "rate-limited": kind(429, "Too many requests", "rate limit exceeded: 1000 requests per second per account", {
    meaning: "The account exceeded its rate limit, or an endpoint is tested or retried more than once a second.",
  }),
  "too-many-waiting": kind(
    429,
    "Too many waiting requests",
    "as many requests of the account wait already as ACCOUNT_MAX_WAITING_REQUESTS allows",
    {
      meaning:
        "As many requests of the account wait (`wait`) as may. Read without `wait`, or wait for one watch or feed in fewer requests.",
    },
  ),
  "source-saturated": kind(
    429,
    "Source saturated",
    "the account has reached the number of calls on source default that its part of the rate can poll",
    {
      meaning:
        "The account has as many calls on the source as its part of the rate can poll: the rate belongs to the accounts in equal parts.",
    },
  ),
  "headers-too-large": kind(431, "Headers too large", "request line and headers exceed 16384 bytes", {
    meaning: "Request line and headers exceed 16 KiB.",
  }),
  internal: kind(500, "Internal error", "the service has a fault; the request id finds it in the logs"),
  "store-unavailable": kind(503, "Not available", unchanged, { meaning: "The database cannot be reached, or the service is stopping." }),
  "store-overloaded": kind(503, "Overloaded", unchanged, { meaning: "The service is at its capacity; try again later." }),
  interrupted: kind(503, "Interrupted", "the attempt was accepted, but its result could not be recorded; check GET /v1/deliveries", {
    meaning: "The attempt was accepted, but its result could not be recorded because the service is stopping.",
  }),
  "not-ready": kind(503, "Not ready", "the store cannot be written", {
    meaning: "This process cannot accept registrations; `detail` says why.",
    members: { ready: false, degraded: [] },
  }),
};

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

export function saysWhenToRetry(slug: ProblemSlug): boolean {
  return retryable.has(slug);
}

export function problemType(slug: ProblemSlug): string {
  return `urn:ringback:problem:${slug}`;
}

/** Returns the detail of a 404. It is the same for an unknown id, an id of another account and an invalid id. */
export function unknownDetail(what: string): string {
  return `there is no such ${what} in this account`;
}

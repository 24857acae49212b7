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
    meaning: "The API key is missing, unknown, revoked or expired; `detail` says which.",
  }),
  "account-disabled": kind(403, "Account disabled", "the operator has disabled the account; nothing was accepted or changed"),
  "quota-exceeded": kind(403, "Quota exceeded", describeQuota({ kind: "quota_exceeded", quota: "maxActiveWatches", limit: 200_000 }), {
    meaning: "The account has reached a quota.",
  }),
  "scope-missing": kind(403, "Scope missing", "the API key does not have the scope watch", {
    meaning: "The API key does not have the scope that the operation needs; `scope` names it. A key creates no key with more than it has.",
    members: { scope: "watch" },
  }),
  "operator-key": kind(403, "Operator key", "a key of the operator has no account: it reads /v1/me, /v1/sources and the dashboard", {
    meaning: "The key is one of the operator, which has no account. It reads `GET /v1/me`, `GET /v1/sources` and the dashboard.",
  }),
  "origin-refused": kind(403, "Origin refused", "pages of this origin may not send messages here", {
    meaning: "The request has an `Origin` other than that of the service's public address.",
  }),
  "may-not-place": kind(
    403,
    "May not place calls",
    "the account may not place calls: the operator allows it with account set crm --may-place",
    {
      meaning: "The account may not place calls. The sandbox needs no leave.",
    },
  ),
  "not-found": kind(404, "Not found", unknownDetail("watch"), { meaning: "The account has no resource of this id." }),
  "method-not-allowed": kind(405, "Method not allowed", "PUT is not allowed here; use GET, HEAD or POST", {
    meaning: "The path does not support this method; `Allow` lists those it does.",
  }),
  "request-timeout": kind(408, "Request timeout", "the request did not arrive in time"),
  "watch-differs": kind(
    409,
    "Watch differs",
    `watch ${watchId} covers this call and URL with different metadata; send the same (left out is the default), or change or delete that watch first`,
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
      meaning: "The endpoint of this URL has another format, another template, other headers or another secret; `endpoint_id` names it.",
      members: { endpoint_id: endpointId },
    },
  ),
  "cursor-gone": kind(
    409,
    "Cursor gone",
    "events after this cursor are gone: go on with `since`, a little before the newest event that you have, and deduplicate by id",
    {
      meaning:
        "The cursor is from before a restore and past what was restored, of another database, or older than what retention deleted. Events would be skipped in silence; go on with `since`.",
    },
  ),
  "placing-settled": kind(409, "Placing settled", "the placing is not unknown, so there is nothing to resolve", {
    meaning: "The placing is not `unknown`, so nothing is to be resolved.",
  }),
  "endpoint-disabled": kind(409, "Endpoint disabled", "the endpoint is disabled: enable it first (PATCH state)", {
    meaning: "The endpoint is disabled, so nothing is sent to it.",
  }),
  "watch-deleted": kind(409, "Watch deleted", "the watch was deleted, so its events are no longer sent"),
  "watch-ended": kind(409, "Watch ended", "the watch has ended, so it cannot be changed", {
    meaning: "The watch has ended, so it cannot be changed.",
  }),
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
  "idempotency-key-required": faulty(
    "Idempotency key required",
    "The request has no `Idempotency-Key`, without which a repeat could place a second call.",
    {
      parameter: "Idempotency-Key",
      detail: "is required, so that no repeat places a second call",
    },
  ),
  "cannot-place": faulty("Cannot place calls", "The source has no trigger, so it places no calls.", {
    pointer: "/source",
    detail: "source builds has no trigger, so it places no calls",
  }),
  "call-refused": kind(422, "Call refused", 'the upstream refused the call: 400 {"error":"Invalid number","code":"BAD_REQUEST"}', {
    meaning:
      "The upstream refused the call with a 4xx: `upstream_status` has its code, `detail` its words. Nothing rings, and the key is free.",
    members: { upstream_status: 400 },
  }),
  "batch-too-large-for-key": kind(422, "Batch too large for a key", "the answer to this batch may exceed 1 MiB, which no key stores", {
    meaning:
      "The batch has an `Idempotency-Key`, and its answer may exceed 1 MiB. Nothing was done: send fewer items, or leave the key out.",
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
  "too-many-stored-answers": kind(
    429,
    "Too many stored answers",
    "the answers stored for the account's idempotency keys take as much as ACCOUNT_MAX_STORED_ANSWERS_MIB allows",
    { meaning: "The answers stored for the account's keys take as much as they may. `Retry-After` says when the oldest leaves." },
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
  "placing-limit": kind(429, "Placing limit", "the account may place 60 calls a minute", {
    meaning: "The account has placed as many calls as it may in a minute or a day. `Retry-After` says when it may place the next.",
  }),
  "upstream-rate-limited": kind(429, "Upstream rate limited", "source default takes no more calls now", {
    meaning: "The upstream answered 429 to the trigger. Nothing rings, and the key is free.",
  }),
  "headers-too-large": kind(431, "Headers too large", "request line and headers exceed 16384 bytes", {
    meaning: "Request line and headers exceed 16 KiB.",
  }),
  internal: kind(500, "Internal error", "the service has a fault; the request id finds it in the logs"),
  "call-unknown": kind(502, "Call unknown", "the call may ring: check at the upstream, then POST /v1/placings/{id}/resolve", {
    meaning:
      "Whether the call rings is not known, so it is not tried again. `placing_id` names the placing, which a person resolves; a repeat has the same answer until then.",
    members: { placing_id: "plc_1kw4kg04000" },
  }),
  "source-suspended": kind(503, "Source suspended", "source default is suspended or its circuit is open, so nothing was sent", {
    meaning: "The source is suspended or its circuit is open. Nothing was sent.",
  }),
  "source-refused": kind(503, "Source refused", "source default refused its credential; the operator must change it", {
    meaning: "The upstream answered 401 to the trigger. Nothing rings, and the key is free.",
  }),
  "upstream-unreachable": kind(503, "Upstream unreachable", "source default could not be reached, and nothing was sent", {
    meaning: "No connection to the upstream was made, or nothing of the request was sent. The key is free.",
  }),
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
  "too-many-stored-answers",
  "placing-limit",
  "upstream-rate-limited",
  "source-suspended",
  "source-refused",
  "upstream-unreachable",
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

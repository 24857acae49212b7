type ProblemKind = {
  readonly status: number;
  readonly title: string;
  /** When it is answered, for the document. */
  readonly meaning: string;
  /** What the document's example has besides type, title, status and request id. */
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
 * Every problem that is answered, by the slug that completes `urn:ringback:problem:`. A slug is for programs and never
 * changes its meaning; titles and details are for people.
 */
export const problemCatalogue = {
  "bad-request": {
    status: 400,
    title: "Bad request",
    meaning: "It is not HTTP that can be read.",
    example: { detail: "this is not a request that can be read" },
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
    meaning: "There is no API key, or it is unknown or revoked.",
    example: { detail: "send an API key as `Authorization: Bearer <key>` or `X-API-Key: <key>`" },
  },
  "quota-exceeded": {
    status: 403,
    title: "Quota exceeded",
    meaning: "The account has as many as it may have.",
    example: { detail: "the account may have 200000 active watches" },
  },
  "not-found": {
    status: 404,
    title: "Not found",
    meaning: "There is no such thing in this account.",
    example: { detail: "there is no such watch in this account" },
  },
  "method-not-allowed": {
    status: 405,
    title: "Method not allowed",
    meaning: "The path has other methods; `Allow` lists them.",
    example: { detail: "PUT is not allowed here; GET, HEAD, POST is" },
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
    meaning: "The watch that is there has other `events` or `metadata`; `watch_id` names it.",
    example: {
      detail: "watch wch_01KAZB2Y8RZ5QX8V4N6T0M3C7D looks at this call for this URL with other metadata; delete it first or leave them out",
      watch_id: "wch_01KAZB2Y8RZ5QX8V4N6T0M3C7D",
    },
  },
  "endpoint-differs": {
    status: 409,
    title: "Endpoint differs",
    meaning: "The endpoint of this URL has another format, other headers or another secret; `endpoint_id` names it.",
    example: {
      detail: "endpoint ep_01KAZB2Y8RZ5QX8V4N6T0M3C7D exists with other format, headers; leave them out to use it as it is, or PATCH it",
      endpoint_id: "ep_01KAZB2Y8RZ5QX8V4N6T0M3C7D",
    },
  },
  "endpoint-disabled": {
    status: 409,
    title: "Endpoint disabled",
    meaning: "Nothing is sent to a disabled endpoint.",
    example: { detail: "the endpoint is disabled: enable it first (PATCH state)" },
  },
  "watch-deleted": {
    status: 409,
    title: "Watch deleted",
    meaning: "Nothing of a deleted watch is sent any more.",
    example: { detail: "the watch was deleted: nothing of it is sent any more" },
  },
  "in-flight": {
    status: 409,
    title: "In flight",
    meaning: "An attempt of the delivery is on the wire.",
    example: { detail: "an attempt of it is on the wire at this moment" },
  },
  "idempotency-in-progress": {
    status: 409,
    title: "In progress",
    meaning: "A request with this `Idempotency-Key` is being carried out; try again in a second. It is never stored.",
    example: { detail: "a request with this Idempotency-Key is being carried out" },
  },
  "payload-too-large": {
    status: 413,
    title: "Payload too large",
    meaning: "The body is larger than 1 MiB (the batch: 4 MiB).",
    example: { detail: "the body may have 1048576 bytes at most" },
  },
  "unsupported-media-type": {
    status: 415,
    title: "Unsupported media type",
    meaning: "The body is not `application/json`, or compressed.",
    example: { detail: "send content-type: application/json, without a content-encoding" },
  },
  "expectation-failed": {
    status: 417,
    title: "Expectation failed",
    meaning: "`Expect` asks for something else than `100-continue`.",
    example: { detail: "the only expectation that can be met is 100-continue" },
  },
  "invalid-request": {
    status: 422,
    title: "Invalid request",
    meaning: "Something in the request is not what it must be; `errors` says what and where.",
    example: { detail: `${callSidFault.pointer}: ${callSidFault.detail}`, errors: [callSidFault] },
  },
  "no-source": {
    status: 422,
    title: "No such source",
    meaning: "The account may not use such a source, or there is none.",
    example: { detail: `${noSourceFault.pointer}: ${noSourceFault.detail}`, errors: [noSourceFault] },
  },
  "blocked-address": {
    status: 422,
    title: "Blocked address",
    meaning: "Webhooks are not sent to this address.",
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
    meaning: "The account asks too often, or an endpoint is tested or retried more than once a second.",
    example: { detail: "the account may ask 1000 times a second" },
  },
  "source-saturated": {
    status: 429,
    title: "Source saturated",
    meaning: "The source watches as many calls as its rate allows.",
    example: { detail: "source default watches as many calls as its rate allows" },
  },
  "headers-too-large": {
    status: 431,
    title: "Headers too large",
    meaning: "The request line and headers have more than 16 KiB.",
    example: { detail: "the request line and headers may have 16384 bytes at most" },
  },
  internal: {
    status: 500,
    title: "Internal error",
    meaning: "A fault of ours, which the request id leads to.",
    example: { detail: "this is our fault; the request id says where to look" },
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
    meaning: "More is asked for at this moment than can be kept.",
    example: { detail: unchanged },
  },
  interrupted: {
    status: 503,
    title: "Interrupted",
    meaning: "The attempt was accepted, but what came of it could not be recorded: the service is stopping.",
    example: { detail: "the attempt was accepted, but what came of it could not be recorded; GET /v1/deliveries tells" },
  },
  "not-ready": {
    status: 503,
    title: "Not ready",
    meaning: "This process cannot accept registrations; `detail` says why.",
    example: { detail: "the store cannot be written", ready: false, degraded: [] },
  },
} as const satisfies Record<string, ProblemKind>;

export type ProblemSlug = keyof typeof problemCatalogue;

/** With a `Retry-After` field always. */
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

/** Longest SID of any source. */
export const callSidMaxLength = 132;
/** Matches the SIDs of every source. Each source has a narrower pattern of its own. */
const anyCallSid = /^[^\p{Cc}\p{Cs}]{1,132}$/u;

/** Whether a text can be a call's SID: without control characters, and no step of a path. */
export function isCallSid(text: string): boolean {
  return anyCallSid.test(text) && text !== "." && text !== "..";
}

/** Longest reason that is kept, in bytes of UTF-8. */
export const reasonMaxBytes = 2048;

/** A parsed 200. */
export type StatusObservation = {
  readonly kind: "status";
  /** In lower case. */
  readonly status: string;
  /** At most 2 KiB of UTF-8; "" if it is missing. */
  readonly reason: string;
  /** Whether the status map of the source has the word. A status that is in no map ends no call. */
  readonly isMapped: boolean;
  /** Whether a status that ends the call must be seen twice in a row, because an outcome may come a moment after the end. */
  readonly isTentative: boolean;
  /** JSON object of the details that the source reads; `null` if it reads none. */
  readonly details: string | null;
};

/** Result of one poll, parsed by the source's adapter. Adapters never throw because of an upstream's answer. */
export type Observation =
  | StatusObservation
  /** 404. */
  | { readonly kind: "not_found" }
  /** 400. */
  | { readonly kind: "rejected" }
  /** 401 or 403. */
  | { readonly kind: "unauthorized"; readonly statusCode: 401 | 403 }
  /** 429. `retryAfterMs` is `null` if the answer has no usable `Retry-After`. */
  | { readonly kind: "rate_limited"; readonly retryAfterMs: number | null }
  /** 5xx, timeout, reset, redirect, not JSON, any other status. */
  | { readonly kind: "failed"; readonly code: PollFailureCode; readonly detail: string };

/** Classes of failed polls: the closed set of `code`. */
export const pollFailures = [
  "server_error",
  "timeout",
  "connect",
  "reset",
  "tls",
  "dns",
  "redirect",
  "not_json",
  "too_large",
  "unexpected_status",
] as const;
export type PollFailureCode = (typeof pollFailures)[number];

/** Watches created after `afterMs` and not after `untilMs`. */
export type CreationSpan = { readonly afterMs: number; readonly untilMs: number };

/** Reason why all watches of a call ended without a terminal status. */
export type CallEndReason = "not_found" | "lost" | "rejected";

/** Reason why a call is not polled as usual, as the API shows it. */
export type CallProblem = "source_suspended" | "source_slowed" | "upstream_errors" | "not_found_yet";

/** Progress of a call that this process polls, in epoch milliseconds. */
export type CallProgress = {
  readonly polledAtMs: number | null;
  readonly nextPollAtMs: number | null;
  readonly problem: CallProblem | null;
  /** Failure of its last poll, in the words of the service and with the upstream's id of the request; `null` without a problem. */
  readonly problemDetail: string | null;
};

/** The stored part of a call. `status` is `null` if no poll has seen the call. */
export type CallStatus = {
  readonly status: string | null;
  readonly reason: string;
  /** JSON object of the last known details; `null` if the source reads none. */
  readonly details: string | null;
  readonly terminal: boolean;
  /** Time of the first observation of this status. */
  readonly observedAtMs: number | null;
  /**
   * Time of the last parsed 200. Written only with a transition and at a stop, so that after a crash this is the time of
   * the last transition.
   */
  readonly lastGoodPollAtMs: number | null;
};

/**
 * Change of a call and its watches by a commit. A poll may yield several, in this order.
 * - `status`: another status; an event for every active watch.
 * - `note`: the same status with another reason or other details; stored without an event.
 * - `end`: every active watch of the call ends with a `watch.*` event, except those created within `spares`.
 * - `expire`: the watches whose `expires_at` is not after the commit's time end with `watch.expired`.
 */
export type CallChange =
  | {
      readonly kind: "status";
      readonly status: string;
      readonly reason: string;
      readonly details: string | null;
      readonly terminal: boolean;
      readonly observedAfterMs: number | null;
    }
  | { readonly kind: "note"; readonly reason: string; readonly details: string | null }
  | { readonly kind: "end"; readonly endReason: CallEndReason; readonly spares: CreationSpan | null }
  | { readonly kind: "expire" };

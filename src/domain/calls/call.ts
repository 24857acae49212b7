/** SID of a call. A UUID behind `OUT-` is usual but not promised. */
export const callSidPattern = /^OUT-[A-Za-z0-9_-]{1,128}$/;

/** Longest reason that is kept, in bytes of UTF-8. */
export const reasonMaxBytes = 2048;

/** Result of one poll, parsed by the source's adapter. Adapters never throw because of an upstream's answer. */
export type Observation =
  /** A parsed 200. `status` is in lower case; `reason` is at most 2 KiB, "" if it is missing. */
  | { readonly kind: "status"; readonly status: string; readonly reason: string }
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
};

/** The stored part of a call. `status` is `null` if no poll has seen the call. */
export type CallStatus = {
  readonly status: string | null;
  readonly reason: string;
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
 * - `reason`: the same status with another reason; stored without an event.
 * - `end`: every active watch of the call ends with a `watch.*` event, except those created within `spares`.
 * - `expire`: the watches whose `expires_at` is not after the commit's time end with `watch.expired`.
 */
export type CallChange =
  | {
      readonly kind: "status";
      readonly status: string;
      readonly reason: string;
      readonly terminal: boolean;
      readonly observedAfterMs: number | null;
    }
  | { readonly kind: "reason"; readonly reason: string }
  | { readonly kind: "end"; readonly endReason: CallEndReason; readonly spares: CreationSpan | null }
  | { readonly kind: "expire" };

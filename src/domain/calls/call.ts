/** A SID as the upstream hands it out; a UUID behind `OUT-` is usual but not promised. */
export const callSidPattern = /^OUT-[A-Za-z0-9_-]{1,128}$/;

/** The longest reason kept, in UTF-8 bytes. */
export const reasonMaxBytes = 2048;

/** What one poll said, parsed by the source's adapter. Adapters never throw for what an upstream answers. */
export type Observation =
  /** A parsed 200; `status` is in lower case, `reason` is "" where missing and at most 2 KiB. */
  | { readonly kind: "status"; readonly status: string; readonly reason: string }
  /** 404. */
  | { readonly kind: "not_found" }
  /** 400. */
  | { readonly kind: "rejected" }
  /** 401 or 403. */
  | { readonly kind: "unauthorized"; readonly statusCode: 401 | 403 }
  /** 429; null when no usable `Retry-After` came with it. */
  | { readonly kind: "rate_limited"; readonly retryAfterMs: number | null }
  /** 5xx, timeout, reset, redirect, not JSON, any other status. */
  | { readonly kind: "failed"; readonly code: PollFailureCode; readonly detail: string };

export type PollFailureCode =
  | "server_error"
  | "timeout"
  | "connect"
  | "reset"
  | "tls"
  | "dns"
  | "redirect"
  | "not_json"
  | "too_large"
  | "unexpected_status";

/** Why every watch of a call ended without a terminal status. */
export type CallEndReason = "not_found" | "lost" | "rejected";

/** What the API says about a call that is not polled as usual. */
export type CallProblem = "source_suspended" | "source_slowed" | "upstream_errors" | "not_found_yet";

/** The durable part of a call. `status` null: never seen. */
export type CallStatus = {
  readonly status: string | null;
  readonly reason: string;
  readonly terminal: boolean;
  /** When this status was first observed. */
  readonly observedAtMs: number | null;
  /** The last parsed 200. Written with a transition and at a stop, else only in memory: after a crash it is the time of the last transition. */
  readonly lastGoodPollAtMs: number | null;
};

/**
 * What a commit does to a call and its watches; a poll may yield several, in this order.
 * - `status`: another status; an event for every active watch.
 * - `reason`: the same status with another reason; noted without an event.
 * - `end`: every active watch of the call ends with a `watch.*` event.
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
  | { readonly kind: "end"; readonly endReason: CallEndReason }
  | { readonly kind: "expire" };

/** Classes of a failed attempt; the closed set of `error.code`. */
export type AttemptErrorCode =
  | "status"
  | "timeout"
  | "connect"
  | "reset"
  | "tls"
  | "dns"
  | "protocol"
  | "redirect"
  | "blocked_address"
  | "gone";

export type AttemptDecision = "delivered" | "retry" | "deferred" | "exhausted" | "failed" | "gone";

/** What one HTTP exchange came to, as the sender saw it. Senders never throw for what a receiver does. */
export type AttemptOutcome =
  /** A complete answer within the deadline. `retryAfter` is the raw header, never trusted. `excerpt` is at most 1 KiB of the body. */
  | { readonly kind: "answered"; readonly statusCode: number; readonly retryAfter: string | null; readonly excerpt: string }
  /** No complete answer. `statusCode` where a head arrived before it broke off. `permanent` only for a literal address or name the guard refuses. */
  | {
      readonly kind: "failed";
      readonly code: Exclude<AttemptErrorCode, "status" | "gone" | "redirect">;
      readonly detail: string;
      readonly statusCode: number | null;
      readonly permanent: boolean;
    };

/** One HTTP try, numbered from 1 within its delivery. */
export type Attempt = {
  readonly number: number;
  readonly startedAtMs: number;
  readonly durationMs: number;
  readonly statusCode: number | null;
  readonly error: { readonly code: AttemptErrorCode; readonly detail: string } | null;
  readonly responseExcerpt: string | null;
  readonly decision: AttemptDecision;
};

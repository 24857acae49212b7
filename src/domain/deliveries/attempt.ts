const networkCodes = ["timeout", "connect", "reset", "tls", "dns", "protocol"] as const;
/** Classes of failed attempts: the closed set of `error.code`. */
export const errorCodes = ["status", ...networkCodes, "redirect", "blocked_address", "gone"] as const;
export type AttemptErrorCode = (typeof errorCodes)[number];

export const attemptDecisions = ["delivered", "retry", "deferred", "exhausted", "failed", "gone"] as const;
export type AttemptDecision = (typeof attemptDecisions)[number];

/**
 * Reason of an attempt: the schedule (`scheduled`), a recovery of the endpoint that brings the delivery forward (`early`), or
 * a request (`manual`: a retry or test), which is one attempt regardless of pauses, order and limits.
 */
export type AttemptMode = "scheduled" | "early" | "manual";

/** Result of one HTTP exchange. Senders never throw because of a receiver. */
export type AttemptOutcome =
  /** A complete answer within the deadline. `retryAfter` is the raw header, not checked yet. `excerpt` is at most 1 KiB of the body. */
  | { readonly kind: "answered"; readonly statusCode: number; readonly retryAfter: string | null; readonly excerpt: string }
  /**
   * No complete answer. `statusCode` is `null` unless a head arrived. `permanent`: the guard refuses the literal address or
   * the name itself.
   */
  | {
      readonly kind: "failed";
      readonly code: Exclude<AttemptErrorCode, "status" | "gone" | "redirect">;
      readonly detail: string;
      readonly statusCode: number | null;
      readonly permanent: boolean;
    };

/** One HTTP exchange of a delivery, numbered from 1. */
export type Attempt = {
  readonly number: number;
  readonly startedAtMs: number;
  readonly durationMs: number;
  readonly statusCode: number | null;
  readonly error: { readonly code: AttemptErrorCode; readonly detail: string } | null;
  readonly responseExcerpt: string | null;
  readonly decision: AttemptDecision;
};

const firstKept = 10;
/** Number of a delivery's newest attempts that are kept and shown. */
export const newestKept = 100;

/** Returns the attempt that need not be kept once this one is recorded: the first 10 and the newest 100 are. `null` if there is none. */
export function attemptToDelete({ number }: Pick<Attempt, "number">): number | null {
  return number - newestKept > firstKept ? number - newestKept : null;
}

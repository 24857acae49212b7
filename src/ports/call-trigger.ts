/** `call` of a request: the upstream's own body of a trigger. */
export type CallBody = Readonly<Record<string, unknown>>;

/** One fault of a `call`; `path` are the keys that lead to it. */
export type CallFault = { readonly path: readonly string[]; readonly detail: string };

/** Outcome of a trigger, decided from the bytes that left the socket and from the answer. */
export type TriggerOutcome =
  | { readonly kind: "placed"; readonly callSid: string }
  /** Nothing of the request was sent, so nothing rings. */
  | { readonly kind: "not_sent"; readonly detail: string }
  /** The upstream refused the call: a 4xx other than 401, 408 and 429. `words`: the beginning of its answer, at most 1 KiB. */
  | { readonly kind: "refused"; readonly statusCode: number; readonly words: string }
  | { readonly kind: "unauthorized" }
  /** `retryAfterMs` is `null` if the answer asks for no wait that can be used. */
  | { readonly kind: "rate_limited"; readonly retryAfterMs: number | null }
  /** The call may ring. */
  | { readonly kind: "unknown"; readonly reason: string };

/** A trigger that is ready to be sent. */
export type ReadyTrigger = {
  readonly kind: "ready";
  /** Number to call; `null` for the sandbox, which calls none. */
  readonly number: string | null;
  /** Keys that lead to the number in `call`. */
  readonly numberPath: readonly string[];
  /** Whether the request has a country code beside the number. */
  readonly hasCountryCode: boolean;
  /** Sends the request once, on a connection of its own, within 15 s. Never repeats it and never rejects. */
  send(): Promise<TriggerOutcome>;
};

/** The way in which a source places calls. */
export interface CallTrigger {
  /** Checks a `call` without the network. */
  prepare(call: CallBody): ReadyTrigger | { readonly kind: "invalid"; readonly faults: readonly CallFault[] };
}

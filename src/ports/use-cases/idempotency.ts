/** A request with an `Idempotency-Key` header. */
export type IdempotentRequest = {
  readonly accountId: string;
  readonly method: string;
  readonly path: string;
  readonly key: string;
  /** Hash of the body as it was sent. */
  readonly bodyHash: string;
};

/** An answer that is stored and repeated byte for byte. */
export type StorableAnswer = { readonly status: number; readonly contentType: string; readonly body: string };

/**
 * A request with a key, and the function that renders the answer to its outcome. `answerOf` is called before the commit,
 * and again if the transaction is repeated, so it must only compute. It returns `null` if the outcome is not to be stored.
 */
export type KeyedRequest<Outcome> = { readonly request: IdempotentRequest; readonly answerOf: (outcome: Outcome) => StorableAnswer | null };

/** Earlier use of a key. Nothing was done for the request. */
export type IdempotencyKeyInUse = { readonly kind: "key_taken" } & (
  | { readonly by: "running" }
  /** A request with another body used the key. */
  | { readonly by: "other_request" }
  /** The answers stored for the account take as much as they may. */
  | { readonly by: "no_room"; readonly retryAfterMs: number }
  | { readonly by: "same_request"; readonly answer: StorableAnswer }
  /** The outcome of the call that was placed under the key is not known. */
  | { readonly by: "call_unknown"; readonly placingId: string }
);

/** Key that is held for this request until it is disposed. Other requests of this process with the same key are refused as running. */
export type IdempotencyKeyUse = Disposable & { readonly kind: "held"; readonly request: IdempotentRequest };

/** A request that only reads, with its key if it has one, and the watch that its answer shows: its purge deletes the stored answer. */
export type Kept<Outcome> = {
  readonly keyed: KeyedRequest<Outcome> | null;
  readonly accountId: string;
  readonly watchId: string | null;
};

/** Idempotency keys of requests. Rejects with `StoreUnavailableError`. */
export interface IdempotencyKeys {
  /** Acquires the key before the request is validated, or returns its earlier use. */
  take(request: IdempotentRequest): Promise<IdempotencyKeyUse | IdempotencyKeyInUse>;
}

/** Answers of requests that only read. Rejects with `StoreUnavailableError`. */
export interface KeptAnswers {
  /** Stores the answer under the key of the request, and returns the outcome, or the earlier use of the key. */
  keep<Outcome>(request: Kept<Outcome>, outcome: Outcome): Promise<Outcome | IdempotencyKeyInUse>;
}

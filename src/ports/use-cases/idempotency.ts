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
  | { readonly by: "same_request"; readonly answer: StorableAnswer }
);

/** Key that is held for this request until it is disposed. Other requests of this process with the same key are refused as running. */
export type IdempotencyKeyUse = Disposable & { readonly kind: "held"; readonly request: IdempotentRequest };

/** Idempotency keys of requests. Rejects with `StoreUnavailableError`. */
export interface IdempotencyKeys {
  /** Acquires the key before the request is validated, or returns its earlier use. */
  take(request: IdempotentRequest): Promise<IdempotencyKeyUse | IdempotencyKeyInUse>;
}

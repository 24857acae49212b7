/** A request that named an `Idempotency-Key`. */
export type IdempotentRequest = {
  readonly accountId: string;
  readonly method: string;
  readonly path: string;
  readonly key: string;
  /** Of the bytes as sent. */
  readonly bodyHash: string;
};

/** What is sent again, byte for byte. */
export type StorableAnswer = { readonly status: number; readonly contentType: string; readonly body: string };

/**
 * A request under a key, and what its outcome is answered. `answerOf` is called before the work is committed and perhaps
 * again if that has to be done over: it does nothing but compute. null: this outcome is not stored.
 */
export type Claim<Outcome> = { readonly request: IdempotentRequest; readonly answerOf: (outcome: Outcome) => StorableAnswer | null };

/** The key was used before: nothing was done. */
export type IdempotencyKeyInUse = { readonly kind: "key_taken" } & (
  | { readonly by: "running" }
  /** A request with another body. */
  | { readonly by: "other_request" }
  | { readonly by: "same_request"; readonly answer: StorableAnswer }
);

/** The key belongs to this request until it is disposed of; others of this process are told that it is running. */
export type IdempotencyKeyUse = Disposable & { readonly kind: "held"; readonly request: IdempotentRequest };

export interface IdempotencyKeys {
  /** Before anything of the request is judged: takes the key, or says by whom it is taken. */
  take(request: IdempotentRequest): Promise<IdempotencyKeyUse | IdempotencyKeyInUse>;
}

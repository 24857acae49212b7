import type { DeliveryStore } from "./delivery-store.ts";
import type { EndpointStore } from "./endpoint-store.ts";
import type { RegistrationStore } from "./registration-store.ts";

/** One use of an `Idempotency-Key`. */
export type IdempotencyClaim = {
  /** A hash of (account, method, path, key): equal for requests that are the same one sent again. */
  readonly id: string;
  readonly accountId: string;
  readonly nowMs: number;
  readonly expiresAtMs: number;
};

/** What is to be stored with a result. */
export type AnswerDraft = {
  readonly sealed: Uint8Array;
  /** The delivery whose attempt will be the answer, for a test that was only accepted; null: the answer is in `sealed`. */
  readonly deliveryId: string | null;
};

export type StoredAnswer = {
  readonly kind: "stored";
  readonly sealed: Uint8Array;
  /** Of a test without an answer yet. `leased`: somebody who is alive makes its attempt at this moment. */
  readonly delivery: { readonly id: string; readonly leased: boolean } | null;
};

/** The operations a client may ask for under a key; each takes one request and is one transaction. */
export type ClaimableStore = Pick<RegistrationStore, "registerWatches" | "registerHook"> &
  Pick<EndpointStore, "rotateSecret"> &
  Pick<DeliveryStore, "recover" | "claimManualRetry" | "createTest">;
export type ClaimableOperation = keyof ClaimableStore;
export type ClaimableRequest<Name extends ClaimableOperation> = Parameters<ClaimableStore[Name]>[0];
export type ClaimableResult<Name extends ClaimableOperation> = Awaited<ReturnType<ClaimableStore[Name]>>;

export type ClaimedRun<Result> =
  | { readonly kind: "ran"; readonly result: Result }
  /** A transaction under the same key is open: nothing was done. */
  | { readonly kind: "running" }
  /** The key counts already: nothing was done. */
  | StoredAnswer;

/**
 * Answers kept for requests that are sent again. The answer is committed with the work: whoever finds the work done finds
 * the answer too, and a crash before the commit leaves neither. What says "running" is the open transaction alone, so
 * nothing of it outlives a crash.
 *
 * - One writer (SQLite): the operations of a group run in one transaction; the answers of all claimed ones are drafted
 *   before its commit. A second operation under a key of the same group is `running`; in a later group it finds the row.
 * - Many writers (Postgres): a transaction of its own: `pg_try_advisory_xact_lock` on 64 bits of the claim's id (false:
 *   `running`), then the row is looked for (the lock was taken first, so a commit just made is seen), then the operation
 *   runs on the same connection, `draftAnswer` is called, the row is inserted, commit. The lock ends with the
 *   transaction, on a lost connection too. Two keys that share the 64 bits only wait a second for each other.
 */
export interface IdempotencyStore {
  /** What was stored for the claim and still counts; null: nothing. */
  findStoredAnswer(claim: IdempotencyClaim): Promise<StoredAnswer | null>;
  /**
   * Runs one operation unless the key counts already. `draftAnswer` is called with its result while the transaction is
   * open, at least once: it must be synchronous and do nothing but compute. null: nothing is stored, the operation is
   * committed all the same. If it throws, the operation is undone and the run rejects.
   */
  runClaimed<Name extends ClaimableOperation>(
    claim: IdempotencyClaim,
    name: Name,
    request: ClaimableRequest<Name>,
    draftAnswer: (result: ClaimableResult<Name>) => AnswerDraft | null,
  ): Promise<ClaimedRun<ClaimableResult<Name>>>;
  /** The answer of a test that was only accepted, once its attempt is recorded. */
  completeAnswer(request: { readonly id: string; readonly sealed: Uint8Array }): Promise<void>;
}

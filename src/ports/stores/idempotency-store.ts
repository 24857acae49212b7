import type { AccountStore } from "./account-store.ts";
import type { DeliveryStore } from "./delivery-store.ts";
import type { EndpointStore } from "./endpoint-store.ts";
import type { PlacingStore } from "./placing-store.ts";
import type { PortalStore } from "./portal-store.ts";
import type { RegistrationStore } from "./registration-store.ts";

/** One use of an `Idempotency-Key`. */
export type IdempotencyClaim = {
  /** Hash of (account, method, path, key): equal for repeats of one request. */
  readonly id: string;
  readonly accountId: string;
  /** Keyed hash of the body. A stored answer of another request is neither read nor opened. */
  readonly requestHash: string;
  readonly nowMs: number;
  readonly expiresAtMs: number;
  /** Bytes of stored answers that the account may have; 0 disables the limit. */
  readonly maxStoredBytes: number;
  /** Whether the answer takes none of these bytes, and is stored however many there are. */
  readonly hasOwnRoom: boolean;
};

/** Answer to store with the result of an operation. */
export type AnswerDraft = {
  readonly sealed: Uint8Array;
  /** Delivery whose attempt will be the answer, for an accepted test; `null` if `sealed` holds the answer. */
  readonly deliveryId: string | null;
  /** Watches that the answer shows, each once. A purge of one of them deletes the answer. */
  readonly watchIds: readonly string[];
};

export type StoredAnswer = {
  readonly kind: "stored";
  readonly sealed: Uint8Array;
  /** Delivery of a test without an answer yet; `leased` while a live process makes its attempt. `null` if `sealed` holds the answer. */
  readonly delivery: { readonly id: string; readonly leased: boolean } | null;
};

/** The answer stored for the key belongs to a request with another body. */
export type OtherRequest = { readonly kind: "other_request" };

/**
 * The account's stored answers take as much as they may, so nothing was done. Answers are as large as they are, so the last one may exceed
 * the limit.
 */
export type NoRoom = {
  readonly kind: "no_room";
  /** Time until the oldest answer of the account expires. */
  readonly retryAfterMs: number;
};

/** The operations that a client may request under a key. Each takes one request and is one transaction. */
export type ClaimableStore = Pick<RegistrationStore, "registerWatches" | "registerHook"> &
  Pick<EndpointStore, "rotateSecret"> &
  Pick<DeliveryStore, "recover" | "claimManualRetry" | "createTest"> &
  Pick<AccountStore, "createKey" | "setDefaultSecret"> &
  Pick<PortalStore, "createPortalLink"> &
  Pick<PlacingStore, "freePlacing"> &
  Pick<IdempotencyStore, "keepAnswer">;

/**
 * Runs one operation unless its key is in use. `draftAnswer` is called with the result while the transaction is open, at
 * least once: it must be synchronous and only compute. If it returns `null`, the operation is committed and no answer is
 * stored. If it throws, the operation is rolled back and the run rejects.
 */
export type ClaimedOperation<Request, Result> = (
  request: Request,
  draftAnswer: (result: Result) => AnswerDraft | null,
) => Promise<ClaimedRun<Result>>;

/** The claimable operations under one claim. */
export type ClaimedOperations = {
  readonly [Name in keyof ClaimableStore]: ClaimedOperation<Parameters<ClaimableStore[Name]>[0], Awaited<ReturnType<ClaimableStore[Name]>>>;
};

export type ClaimedRun<Result> =
  | { readonly kind: "ran"; readonly result: Result }
  /** A transaction under the same key is open; nothing was done. */
  | { readonly kind: "running" }
  /** The key has a stored answer; nothing was done. */
  | StoredAnswer
  | OtherRequest
  | NoRoom;

/**
 * Answers stored for repeated requests. The answer is committed with the work, so a repeat that finds the work finds the
 * answer too, and a crash before the commit leaves neither. An operation is `running` only while its transaction is open, so
 * no such mark outlives a crash.
 *
 * - One writer (SQLite): the operations of a group run in one transaction, and the answers of all claimed operations are
 *   drafted before its commit. A second operation under a key of the same group is `running`; in a later group it finds
 *   the row.
 * - Many writers (Postgres): each operation has a transaction of its own, which takes `pg_try_advisory_xact_lock` on 64
 *   bits of the claim's id (`running` if it is not available), then looks for the row (after the lock, so that it sees a
 *   commit just made), then runs the operation, calls `draftAnswer`, inserts the row and commits. The lock ends with the
 *   transaction, also on a lost connection. Two keys that share the 64 bits are `running` to each other meanwhile.
 */
export interface IdempotencyStore {
  /** Returns the answer stored for the claim; `null` if there is none or it has expired. */
  findStoredAnswer(claim: IdempotencyClaim): Promise<StoredAnswer | OtherRequest | null>;
  /** Returns the claimable operations, to run under `claim`. */
  underKey(claim: IdempotencyClaim): ClaimedOperations;
  /**
   * Changes nothing: it is what a request that only reads does under its key. Resolves to whether the watch that its answer shows is still
   * there; true for `null`, an answer that shows none. The watch is not purged before the transaction ends.
   */
  keepAnswer(request: { readonly accountId: string; readonly watchId: string | null }): Promise<boolean>;
  /** Stores the answer of an accepted test, once its attempt is recorded. */
  completeAnswer(request: { readonly id: string; readonly sealed: Uint8Array }): Promise<void>;
}

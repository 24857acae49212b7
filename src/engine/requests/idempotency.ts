import { createHash } from "node:crypto";
import { associatedData } from "../../domain/secrets/sealed-identity.ts";
import type {
  KeyedRequest,
  IdempotencyKeyInUse,
  IdempotencyKeyUse,
  IdempotencyKeys,
  IdempotentRequest,
  Kept,
  KeptAnswers,
} from "../../ports/use-cases/idempotency.ts";
import type { Clock } from "../../ports/clock.ts";
import type {
  AnswerDraft,
  ClaimableStore,
  ClaimedOperation,
  ClaimedOperations,
  ClaimedRun,
  IdempotencyClaim,
  IdempotencyStore,
} from "../../ports/stores/idempotency-store.ts";
import type { SecretBox } from "../../ports/secret-box.ts";
import { answerIn, plaintextOf } from "./stored-answer.ts";

export type IdempotencyOptions = {
  readonly store: IdempotencyStore & ClaimableStore;
  readonly secretBox: SecretBox;
  readonly clock: Clock;
  /** Returns a keyed hash that stays the same over the rotation of encryption keys. */
  readonly keyedHash: (text: string) => string;
  /** Bytes of stored answers that an account may have; 0 disables the limit. */
  readonly maxStoredBytes: number;
};

/** Progress of an operation under its key: answered, or a test whose attempt will be the answer. */
export type Step<Outcome> =
  | {
      readonly kind: "answered";
      readonly outcome: Outcome;
      /** Watches that the answer shows; none if left out. */
      readonly watchIds?: readonly string[];
    }
  | { readonly kind: "accepted"; readonly deliveryId: string };

export type AcceptedOperation<Result, Outcome> =
  | { readonly kind: "ran"; readonly result: Result; readonly step: Step<Outcome> }
  /** An earlier request was accepted and no process makes its attempt. */
  | { readonly kind: "accepted_before"; readonly deliveryId: string }
  | IdempotencyKeyInUse;

/** Selects one operation of the store, such as `(store) => store.recover`. */
export type SelectOperation<Request, Result> = (store: ClaimedOperations) => ClaimedOperation<Request, Result>;

const idempotencyTtlMs = 24 * 60 * 60 * 1000;

/**
 * Runs each operation once per idempotency key. Seals the answers, so that the store holds none in plain text. A keyed hash
 * of the body lies beside each and decides whether two requests are the same, so that a mismatch opens no answer.
 */
export class Idempotency implements IdempotencyKeys, KeptAnswers {
  readonly #options: IdempotencyOptions;
  readonly #withoutKey: ClaimedOperations;
  /** Body hashes of the requests that this process runs, by claim id. They only answer repeats early; the transaction decides. */
  readonly #held = new Map<string, string>();

  constructor(options: IdempotencyOptions) {
    this.#options = options;
    this.#withoutKey = withoutKey(options.store);
  }

  async take(request: IdempotentRequest): Promise<IdempotencyKeyUse | IdempotencyKeyInUse> {
    const claim = this.#claimOf(request);
    // Looked up before the key is held, because any number of repeats may get this answer at the same time. The transaction
    // finds an answer that is stored later.
    const before = await this.#findBefore(claim);
    if (before !== null) return before;
    const holder = this.#held.get(claim.id);
    if (holder !== undefined) return { kind: "key_taken", by: holder === request.bodyHash ? "running" : "other_request" };
    this.#held.set(claim.id, request.bodyHash);
    return { kind: "held", request, [Symbol.dispose]: () => void this.#held.delete(claim.id) };
  }

  /**
   * Runs one operation of the store, under its key if it has one. `outcomeOf` only computes: see `KeyedRequest`. `watchIdsOf`
   * names the watches that the answer shows.
   */
  async run<Request, Result, Outcome>(
    keyed: KeyedRequest<Outcome> | null,
    select: SelectOperation<Request, Result>,
    request: Request,
    outcomeOf: (result: Result) => Outcome,
    watchIdsOf: (result: Result) => readonly string[] = () => [],
  ): Promise<{ readonly kind: "ran"; readonly result: Result; readonly outcome: Outcome } | IdempotencyKeyInUse> {
    const run = await this.accept<Request, Result, Outcome>(keyed, select, request, (result) => ({
      kind: "answered",
      outcome: outcomeOf(result),
      watchIds: watchIdsOf(result),
    }));
    if (run.kind === "key_taken") return run;
    if (run.kind !== "ran" || run.step.kind !== "answered") throw new Error("only a test is accepted before it is answered");
    return { kind: "ran", result: run.result, outcome: run.step.outcome };
  }

  /** Stores the answer of a request that only reads, if it has a key: a repeat then receives the same bytes. */
  async keep<Outcome>({ keyed, accountId, watchId }: Kept<Outcome>, outcome: Outcome): Promise<Outcome | IdempotencyKeyInUse> {
    if (keyed === null) return outcome;
    const claim = this.#claimOf(keyed.request);
    const step: Step<Outcome> = { kind: "answered", outcome, watchIds: watchId === null ? [] : [watchId] };
    // The data of a watch that was purged meanwhile is not stored.
    const draftAnswer = (isThere: boolean) => (isThere ? this.#draft(claim, keyed, step) : null);
    const run = await this.#options.store.underKey(claim).keepAnswer({ accountId, watchId }, draftAnswer);
    if (run.kind === "ran") return outcome;
    const taken = this.#read(claim, run);
    if (taken.kind !== "key_taken") throw new Error("a request that only reads is not accepted before it is answered");
    return taken;
  }

  /** Runs an operation that may be accepted before it is answered. */
  async accept<Request, Result, Outcome>(
    keyed: KeyedRequest<Outcome> | null,
    select: SelectOperation<Request, Result>,
    request: Request,
    stepOf: (result: Result) => Step<Outcome>,
  ): Promise<AcceptedOperation<Result, Outcome>> {
    const claim = keyed === null ? null : this.#claimOf(keyed.request);
    const operation = select(claim === null ? this.#withoutKey : this.#options.store.underKey(claim));
    const steps: Step<Outcome>[] = [];
    const run = await operation(request, (result) => {
      const step = stepOf(result);
      steps.push(step);
      return keyed === null || claim === null ? null : this.#draft(claim, keyed, step);
    });
    if (run.kind === "ran") {
      const step = steps.at(-1);
      if (step === undefined) throw new Error("the operation ran without a draft of its answer");
      return { kind: "ran", result: run.result, step };
    }
    if (keyed === null || claim === null) throw new Error("an operation without a key always runs");
    return this.#read(claim, run);
  }

  /** Stores the answer of an accepted test, once its attempt is recorded. */
  async complete<Outcome>(keyed: KeyedRequest<Outcome>, outcome: Outcome): Promise<void> {
    const claim = this.#claimOf(keyed.request);
    const draft = this.#draft(claim, keyed, { kind: "answered", outcome });
    if (draft !== null) await this.#options.store.completeAnswer({ id: claim.id, sealed: draft.sealed });
  }

  async #findBefore(claim: IdempotencyClaim): Promise<IdempotencyKeyInUse | null> {
    const stored = await this.#options.store.findStoredAnswer(claim);
    const before = stored === null ? null : this.#read(claim, stored);
    return before?.kind === "key_taken" ? before : null;
  }

  #claimOf({ accountId, method, path, key, bodyHash }: IdempotentRequest): IdempotencyClaim {
    const { keyedHash, maxStoredBytes } = this.#options;
    const id = createHash("sha256")
      .update(JSON.stringify([accountId, method, path, key]))
      .digest("base64url");
    const nowMs = this.#options.clock.nowMs();
    return {
      id,
      accountId,
      requestHash: keyedHash(bodyHash),
      nowMs,
      expiresAtMs: nowMs + idempotencyTtlMs,
      maxStoredBytes,
      hasOwnRoom: false,
    };
  }

  #draft<Outcome>({ id }: IdempotencyClaim, { answerOf }: KeyedRequest<Outcome>, step: Step<Outcome>): AnswerDraft | null {
    const answer = step.kind === "answered" ? answerOf(step.outcome) : null;
    if (step.kind === "answered" && answer === null) return null;
    return {
      sealed: this.#options.secretBox.seal(answer === null ? "" : plaintextOf(answer), associatedData("answer", id)),
      deliveryId: step.kind === "accepted" ? step.deliveryId : null,
      watchIds: step.kind === "answered" ? [...new Set(step.watchIds)] : [],
    };
  }

  #read(
    { id }: IdempotencyClaim,
    run: Exclude<ClaimedRun<never>, { readonly kind: "ran" }>,
  ): IdempotencyKeyInUse | Extract<AcceptedOperation<never, never>, { kind: "accepted_before" }> {
    switch (run.kind) {
      case "running":
      case "other_request":
        return { kind: "key_taken", by: run.kind };
      case "no_room":
        return { kind: "key_taken", by: "no_room", retryAfterMs: run.retryAfterMs };
      case "stored":
    }
    const { delivery, sealed } = run;
    if (delivery !== null)
      return delivery.leased ? { kind: "key_taken", by: "running" } : { kind: "accepted_before", deliveryId: delivery.id };
    const answer = answerIn(this.#options.secretBox.open(sealed, associatedData("answer", id)));
    return { kind: "key_taken", by: "same_request", answer };
  }
}

/** Returns the claimable operations for a request without an `Idempotency-Key`: they take no claim and store no answer. */
function withoutKey(store: ClaimableStore): ClaimedOperations {
  return {
    registerWatches: plain((drafts) => store.registerWatches(drafts)),
    registerHook: plain((draft) => store.registerHook(draft)),
    rotateSecret: plain((rotation) => store.rotateSecret(rotation)),
    recover: plain((request) => store.recover(request)),
    claimManualRetry: plain((request) => store.claimManualRetry(request)),
    freePlacing: plain((request) => store.freePlacing(request)),
    keepAnswer: plain((request) => store.keepAnswer(request)),
    createTest: plain((request) => store.createTest(request)),
    createPortalLink: plain((draft) => store.createPortalLink(draft)),
    createKey: plain((draft) => store.createKey(draft)),
    setDefaultSecret: plain((request) => store.setDefaultSecret(request)),
  };
}

function plain<Request, Result>(operation: (request: Request) => Promise<Result>): ClaimedOperation<Request, Result> {
  return async (request, draftAnswer) => {
    const result = await operation(request);
    draftAnswer(result);
    return { kind: "ran", result };
  };
}

import { createHash } from "node:crypto";
import { associatedData } from "../../domain/secrets/sealed-identity.ts";
import type {
  KeyedRequest,
  IdempotencyKeyInUse,
  IdempotencyKeyUse,
  IdempotencyKeys,
  IdempotentRequest,
  StorableAnswer,
} from "../../ports/use-cases/idempotency.ts";
import type { Clock } from "../../ports/clock.ts";
import type {
  AnswerDraft,
  ClaimableStore,
  ClaimedOperation,
  ClaimedOperations,
  IdempotencyClaim,
  IdempotencyStore,
  StoredAnswer,
} from "../../ports/stores/idempotency-store.ts";
import type { SecretBox } from "../../ports/secret-box.ts";

export type IdempotencyOptions = {
  readonly store: IdempotencyStore & ClaimableStore;
  readonly secretBox: SecretBox;
  readonly clock: Clock;
};

/** Plain text of a stored answer. `answer` is `null` while a test is accepted but not answered. */
type Sealed = { readonly bodyHash: string; readonly answer: StorableAnswer | null };

/** Progress of an operation under its key: answered, or a test whose attempt will be the answer. */
export type Step<Outcome> =
  | { readonly kind: "answered"; readonly outcome: Outcome }
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
 * Runs each operation once per idempotency key. Seals the answers, so that the store holds none in plain text. The hash of
 * the body, which decides whether two requests are the same, is sealed with them.
 */
export class Idempotency implements IdempotencyKeys {
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
    const before = await this.#findBefore(claim, request);
    if (before !== null) return before;
    const holder = this.#held.get(claim.id);
    if (holder !== undefined) return { kind: "key_taken", by: holder === request.bodyHash ? "running" : "other_request" };
    this.#held.set(claim.id, request.bodyHash);
    return { kind: "held", request, [Symbol.dispose]: () => void this.#held.delete(claim.id) };
  }

  /** Runs one operation of the store, under its key if it has one. `outcomeOf` only computes: see `KeyedRequest`. */
  async run<Request, Result, Outcome>(
    keyed: KeyedRequest<Outcome> | null,
    select: SelectOperation<Request, Result>,
    request: Request,
    outcomeOf: (result: Result) => Outcome,
  ): Promise<{ readonly kind: "ran"; readonly result: Result; readonly outcome: Outcome } | IdempotencyKeyInUse> {
    const run = await this.accept<Request, Result, Outcome>(keyed, select, request, (result) => ({
      kind: "answered",
      outcome: outcomeOf(result),
    }));
    if (run.kind === "key_taken") return run;
    if (run.kind !== "ran" || run.step.kind !== "answered") throw new Error("only a test is accepted before it is answered");
    return { kind: "ran", result: run.result, outcome: run.step.outcome };
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
    return run.kind === "running" ? { kind: "key_taken", by: "running" } : this.#read(claim, keyed.request, run);
  }

  /** Stores the answer of an accepted test, once its attempt is recorded. */
  async complete<Outcome>(keyed: KeyedRequest<Outcome>, outcome: Outcome): Promise<void> {
    const claim = this.#claimOf(keyed.request);
    const draft = this.#draft(claim, keyed, { kind: "answered", outcome });
    if (draft !== null) await this.#options.store.completeAnswer({ id: claim.id, sealed: draft.sealed });
  }

  async #findBefore(claim: IdempotencyClaim, request: IdempotentRequest): Promise<IdempotencyKeyInUse | null> {
    const stored = await this.#options.store.findStoredAnswer(claim);
    const before = stored === null ? null : this.#read(claim, request, stored);
    return before?.kind === "key_taken" ? before : null;
  }

  #claimOf({ accountId, method, path, key }: IdempotentRequest): IdempotencyClaim {
    const id = createHash("sha256")
      .update(JSON.stringify([accountId, method, path, key]))
      .digest("base64url");
    const nowMs = this.#options.clock.nowMs();
    return { id, accountId, nowMs, expiresAtMs: nowMs + idempotencyTtlMs };
  }

  #draft<Outcome>({ id }: IdempotencyClaim, { request, answerOf }: KeyedRequest<Outcome>, step: Step<Outcome>): AnswerDraft | null {
    const answer = step.kind === "answered" ? answerOf(step.outcome) : null;
    if (step.kind === "answered" && answer === null) return null;
    const sealed: Sealed = { bodyHash: request.bodyHash, answer };
    return {
      sealed: this.#options.secretBox.seal(JSON.stringify(sealed), associatedData("answer", id)),
      deliveryId: step.kind === "accepted" ? step.deliveryId : null,
    };
  }

  #read(
    { id }: IdempotencyClaim,
    request: IdempotentRequest,
    stored: StoredAnswer,
  ): IdempotencyKeyInUse | Extract<AcceptedOperation<never, never>, { kind: "accepted_before" }> {
    const { bodyHash, answer } = JSON.parse(this.#options.secretBox.open(stored.sealed, associatedData("answer", id))) as Sealed;
    if (bodyHash !== request.bodyHash) return { kind: "key_taken", by: "other_request" };
    if (answer !== null) return { kind: "key_taken", by: "same_request", answer };
    if (stored.delivery === null) throw new Error("an accepted test has no delivery");
    return stored.delivery.leased ? { kind: "key_taken", by: "running" } : { kind: "accepted_before", deliveryId: stored.delivery.id };
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
    createTest: plain((request) => store.createTest(request)),
  };
}

function plain<Request, Result>(operation: (request: Request) => Promise<Result>): ClaimedOperation<Request, Result> {
  return async (request, draftAnswer) => {
    const result = await operation(request);
    draftAnswer(result);
    return { kind: "ran", result };
  };
}

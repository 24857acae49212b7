import { createHash } from "node:crypto";
import { associatedData } from "../../domain/secrets/sealed-identity.ts";
import type {
  Claim,
  IdempotencyKeyInUse,
  IdempotencyKeyUse,
  IdempotencyKeys,
  IdempotentRequest,
  StorableAnswer,
} from "../../ports/use-cases/idempotency.ts";
import type { Clock } from "../../ports/clock.ts";
import type {
  AnswerDraft,
  ClaimableOperation,
  ClaimableRequest,
  ClaimableResult,
  ClaimableStore,
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

/** What lies sealed in the store; `answer` is null while a test was only accepted. */
type Sealed = { readonly bodyHash: string; readonly answer: StorableAnswer | null };

/** How far an operation got under its key: answered, or a test whose attempt will be the answer. */
export type Step<Outcome> =
  | { readonly kind: "answered"; readonly outcome: Outcome }
  | { readonly kind: "accepted"; readonly deliveryId: string };

export type AcceptedOperation<Result, Outcome> =
  | { readonly kind: "ran"; readonly result: Result; readonly step: Step<Outcome> }
  /** By a request before, whose attempt nobody makes now. */
  | { readonly kind: "accepted_before"; readonly deliveryId: string }
  | IdempotencyKeyInUse;

const idempotencyTtlMs = 24 * 60 * 60 * 1000;

/**
 * Carries out what a key lets through, once. Answers are sealed here, so that the store never sees one; what two requests
 * must have in common to be the same (the hash of the body) is sealed with them.
 */
export class Idempotency implements IdempotencyKeys {
  readonly #options: IdempotencyOptions;
  /** Claim to body hash, of the requests this process is carrying out: a courtesy to those that come twice, for what counts is the transaction. */
  readonly #held = new Map<string, string>();

  constructor(options: IdempotencyOptions) {
    this.#options = options;
  }

  async take(request: IdempotentRequest): Promise<IdempotencyKeyUse | IdempotencyKeyInUse> {
    const claim = this.#claimOf(request);
    // First, for it is answered to any number at once; who is answered between the two is found by the transaction.
    const before = await this.#findBefore(claim, request);
    if (before !== null) return before;
    const holder = this.#held.get(claim.id);
    if (holder !== undefined) return { kind: "key_taken", by: holder === request.bodyHash ? "running" : "other_request" };
    this.#held.set(claim.id, request.bodyHash);
    return { kind: "held", request, [Symbol.dispose]: () => void this.#held.delete(claim.id) };
  }

  /** One operation of the store, under the claim if there is one. `outcomeOf` does nothing but compute: see `Claim`. */
  async run<Name extends ClaimableOperation, Outcome>(
    claim: Claim<Outcome> | null,
    name: Name,
    request: ClaimableRequest<Name>,
    outcomeOf: (result: ClaimableResult<Name>) => Outcome,
  ): Promise<{ readonly kind: "ran"; readonly result: ClaimableResult<Name>; readonly outcome: Outcome } | IdempotencyKeyInUse> {
    const run = await this.accept(claim, name, request, (result) => ({ kind: "answered", outcome: outcomeOf(result) }));
    if (run.kind === "key_taken") return run;
    if (run.kind !== "ran" || run.step.kind !== "answered") throw new Error("only a test is accepted before it is answered");
    return { kind: "ran", result: run.result, outcome: run.step.outcome };
  }

  /** The same for an operation that may only be accepted. */
  async accept<Name extends ClaimableOperation, Outcome>(
    claim: Claim<Outcome> | null,
    name: Name,
    request: ClaimableRequest<Name>,
    stepOf: (result: ClaimableResult<Name>) => Step<Outcome>,
  ): Promise<AcceptedOperation<ClaimableResult<Name>, Outcome>> {
    const { store } = this.#options;
    if (claim === null) {
      // One of a union of functions takes the request of all of them, as far as the compiler knows.
      const result = (await store[name](request as never)) as ClaimableResult<Name>;
      return { kind: "ran", result, step: stepOf(result) };
    }
    const storeClaim = this.#claimOf(claim.request);
    const steps: Step<Outcome>[] = [];
    const run = await store.runClaimed(storeClaim, name, request, (result) => {
      const step = stepOf(result);
      steps.push(step);
      return this.#draft(storeClaim, claim, step);
    });
    if (run.kind === "running") return { kind: "key_taken", by: "running" };
    if (run.kind === "stored") return this.#read(storeClaim, claim.request, run);
    const step = steps.at(-1);
    if (step === undefined) throw new Error("what ran was drafted");
    return { kind: "ran", result: run.result, step };
  }

  /** The answer of a test that was only accepted, once its attempt is recorded. */
  async complete<Outcome>(claim: Claim<Outcome>, outcome: Outcome): Promise<void> {
    const storeClaim = this.#claimOf(claim.request);
    const draft = this.#draft(storeClaim, claim, { kind: "answered", outcome });
    if (draft !== null) await this.#options.store.completeAnswer({ id: storeClaim.id, sealed: draft.sealed });
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

  #draft<Outcome>({ id }: IdempotencyClaim, { request, answerOf }: Claim<Outcome>, step: Step<Outcome>): AnswerDraft | null {
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
    if (stored.delivery === null) throw new Error("what was accepted names its delivery");
    return stored.delivery.leased ? { kind: "key_taken", by: "running" } : { kind: "accepted_before", deliveryId: stored.delivery.id };
  }
}

import { placingKeptMs } from "../../domain/calls/placing.ts";
import { associatedData } from "../../domain/secrets/sealed-identity.ts";
import type { Clock } from "../../ports/clock.ts";
import type { SecretBox } from "../../ports/secret-box.ts";
import type { AnswerDraft, IdempotencyClaim, IdempotencyStore } from "../../ports/stores/idempotency-store.ts";
import type { KeyedPlacing, PlacingStore } from "../../ports/stores/placing-store.ts";
import type {
  IdempotencyKeyInUse,
  IdempotencyKeys,
  IdempotencyKeyUse,
  IdempotentRequest,
  StorableAnswer,
} from "../../ports/use-cases/idempotency.ts";
import { answerIn, plaintextOf } from "../requests/stored-answer.ts";

export type PlacingKeysOptions = {
  readonly store: Pick<PlacingStore, "findPlacing"> & Pick<IdempotencyStore, "findStoredAnswer">;
  readonly secretBox: SecretBox;
  readonly clock: Clock;
  readonly keyedHash: (text: string) => string;
  readonly retentionDays: number;
};

/** Keyed hashes of a request: of its key within the account, and of its body. */
export type PlacingHashes = { readonly keyHash: string; readonly callHash: string };

const dayMs = 24 * 60 * 60 * 1000;

/**
 * Idempotency keys of placings. A key belongs to a row of its own, which outlives crashes, and it counts as long as the row is
 * kept. The answer is stored with the watch.
 */
export class PlacingKeys implements IdempotencyKeys {
  readonly #options: PlacingKeysOptions;
  /** Body hashes of the requests that this process runs, by key hash. They only answer repeats early; the row decides. */
  readonly #held = new Map<string, string>();

  constructor(options: PlacingKeysOptions) {
    this.#options = options;
  }

  async take(request: IdempotentRequest): Promise<IdempotencyKeyUse | IdempotencyKeyInUse> {
    const { keyHash, callHash } = this.hashesOf(request);
    const used = await this.useOf(request);
    if (used !== null) return used;
    const holder = this.#held.get(keyHash);
    if (holder !== undefined) return { kind: "key_taken", by: holder === callHash ? "running" : "other_request" };
    this.#held.set(keyHash, callHash);
    return { kind: "held", request, [Symbol.dispose]: () => void this.#held.delete(keyHash) };
  }

  /** Returns the earlier use of a key; `null` if it is free. */
  async useOf(request: IdempotentRequest): Promise<IdempotencyKeyInUse | null> {
    const { accountId } = request;
    const hashes = this.hashesOf(request);
    const found = await this.#options.store.findPlacing({ accountId, keyHash: hashes.keyHash });
    if (found === null) return null;
    if (found.placing.callHash !== hashes.callHash) return { kind: "key_taken", by: "other_request" };
    if (found.placing.state === "sending") return { kind: "key_taken", by: "running" };
    if (found.placing.state === "unknown") return { kind: "key_taken", by: "call_unknown", placingId: found.placing.id };
    return this.#answerOf(found, hashes);
  }

  hashesOf({ accountId, key, bodyHash }: IdempotentRequest): PlacingHashes {
    const { keyedHash } = this.#options;
    return { keyHash: keyedHash(JSON.stringify(["placing", accountId, key])), callHash: keyedHash(bodyHash) };
  }

  /** Returns the claim under which the answer is stored. Its room is not that of other answers. */
  claimOf(accountId: string, { keyHash, callHash }: PlacingHashes): IdempotencyClaim {
    const { clock, retentionDays } = this.#options;
    const nowMs = clock.nowMs();
    const expiresAtMs = nowMs + Math.max(retentionDays * dayMs, placingKeptMs);
    return { id: keyHash, accountId, requestHash: callHash, nowMs, expiresAtMs, maxStoredBytes: 0, hasOwnRoom: true };
  }

  /** Seals an answer to be stored under a key. */
  draftOf(keyHash: string, answer: StorableAnswer | null): AnswerDraft | null {
    if (answer === null) return null;
    return { sealed: this.#options.secretBox.seal(plaintextOf(answer), associatedData("answer", keyHash)), deliveryId: null, watchIds: [] };
  }

  /** Opens a stored answer. */
  replayOf(keyHash: string, sealed: Uint8Array): IdempotencyKeyInUse {
    const answer = answerIn(this.#options.secretBox.open(sealed, associatedData("answer", keyHash)));
    return { kind: "key_taken", by: "same_request", answer };
  }

  /** Returns the stored answer, or the id of the watch alone once the watch is gone. */
  async #answerOf({ placing, hasWatch }: KeyedPlacing, hashes: PlacingHashes): Promise<IdempotencyKeyInUse> {
    const { store } = this.#options;
    const stored = hasWatch ? await store.findStoredAnswer(this.claimOf(placing.accountId, hashes)) : null;
    if (stored?.kind === "stored") return this.replayOf(hashes.keyHash, stored.sealed);
    const answer = { status: 201, contentType: "application/json", body: JSON.stringify({ id: placing.watchId }) };
    return { kind: "key_taken", by: "same_request", answer };
  }
}

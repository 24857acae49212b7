import { associatedData } from "../../domain/secrets/sealed-identity.ts";
import type { Clock } from "../../ports/clock.ts";
import type { SecretBox } from "../../ports/secret-box.ts";
import type { Account } from "../../ports/stores/account-store.ts";
import type { IdempotencyStore } from "../../ports/stores/idempotency-store.ts";
import type { PlacingStore } from "../../ports/stores/placing-store.ts";
import type { SettledPlacing } from "../../ports/stores/registration-store.ts";
import type { Logger, Metrics } from "../../ports/telemetry.ts";
import type { IdempotencyKeyInUse, KeyedRequest } from "../../ports/use-cases/idempotency.ts";
import type { PlacedWatch, PlaceOutcome, ResolveOptions, ResolveOutcome } from "../../ports/use-cases/placing.ts";
import type { PlacedWatchRequest } from "../../ports/use-cases/registration.ts";
import type { Idempotency } from "../requests/idempotency.ts";
import type { RegistrableSource } from "../sources/registrable-source.ts";
import type { PlacingHashes, PlacingKeys } from "./placing-keys.ts";
import { invalid, resultAt, watchOutcomeOf } from "./registration-outcome.ts";
import type { DraftedParts, WatchDrafts } from "./watch-drafts.ts";
import { publishCreation } from "./watch-publication.ts";
import type { WatchPublication } from "./watch-publication.ts";

export type PlacingSettlerOptions = WatchPublication & {
  readonly store: PlacingStore & Pick<IdempotencyStore, "underKey">;
  readonly keys: PlacingKeys;
  readonly idempotency: Pick<Idempotency, "run">;
  readonly drafts: WatchDrafts;
  readonly secretBox: SecretBox;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Whether no other process uses the store, so that an intent from before the start belongs to none. */
  readonly isAlone: boolean;
};

type Settling = {
  readonly account: Account;
  readonly source: RegistrableSource;
  readonly request: PlacedWatchRequest;
  readonly callSid: string;
  readonly parts: DraftedParts;
  readonly hashes: PlacingHashes;
  readonly placing: SettledPlacing;
  readonly answerOf: KeyedRequest<PlaceOutcome>["answerOf"];
};

const sweepLimit = 100;

/** Ends placings: by a SID, by a person, or as unknown. */
export class PlacingSettler {
  readonly #options: PlacingSettlerOptions;
  /** An intent becomes unknown within its lease and this time, less than a minute. */
  readonly tickEveryMs = 20_000;

  constructor(options: PlacingSettlerOptions) {
    this.#options = options;
  }

  /**
   * Commits the watch of a placing with the answer of its key. `null` if the placing is in another state by now. If an earlier
   * commit was not answered, returns the answer that it stored.
   */
  async settle(settling: Settling): Promise<PlacedWatch | IdempotencyKeyInUse | null> {
    const { store, keys, drafts, clock } = this.#options;
    const { account, source, request, callSid, parts, hashes, placing, answerOf } = settling;
    const { watch, generated } = drafts.joinParts(account, source, { ...request, callSid }, parts, placing, clock.nowMs());
    const outcomes: PlacedWatch[] = [];
    const run = await store.underKey(keys.claimOf(account.id, hashes)).registerWatches([watch], (results) => {
      const result = resultAt(results, 0);
      if (result.kind === "placing_settled") return null;
      const outcome = watchOutcomeOf(generated?.text ?? null, result);
      if (!("view" in outcome)) throw new Error(`the watch of a placing was refused: ${result.kind}`);
      outcomes.push(outcome);
      return keys.draftOf(hashes.keyHash, answerOf(outcome));
    });
    if (run.kind === "stored") return keys.replayOf(hashes.keyHash, run.sealed);
    const outcome = outcomes.at(-1);
    if (run.kind !== "ran" || outcome === undefined) return null;
    publishCreation(this.#options, watch, resultAt(run.result, 0));
    return outcome;
  }

  /** Makes one intent of this process unknown. */
  async lose(placingId: string): Promise<void> {
    await this.#lose(placingId, 0, 1);
  }

  /** Makes the intents of processes that have ended unknown. The first call on a database of this process alone takes every intent. */
  async sweep(isStart = false): Promise<void> {
    const { clock, isAlone } = this.#options;
    const nowMs = clock.nowMs();
    const leasedUntilMs = isStart && isAlone ? Number.MAX_SAFE_INTEGER : nowMs;
    while ((await this.#lose(null, leasedUntilMs, sweepLimit)) === sweepLimit);
  }

  /** Settles an unknown placing. The answer of a request with a key is stored, also one that nothing is settled. */
  async resolve(
    account: Account,
    placingId: string,
    callSid: string | null,
    { answerOf, keyed, by }: ResolveOptions,
  ): Promise<ResolveOutcome | IdempotencyKeyInUse> {
    const { store, idempotency, clock } = this.#options;
    const found = await store.getPlacing(account.id, placingId);
    if (found === null) return { kind: "unknown" };
    const outcome = callSid === null ? null : await this.#settleBy(account, callSid, found, { answerOf, keyed, by });
    if (outcome !== null && outcome.kind !== "resolved" && outcome.kind !== "settled") return outcome;
    // Frees nothing once a SID has settled the placing; then the transaction stores the answer alone.
    const run = await idempotency.run<Parameters<PlacingStore["freePlacing"]>[0], boolean, ResolveOutcome>(
      keyed,
      (operations) => operations.freePlacing,
      { accountId: account.id, placingId, isCheckOnly: outcome !== null, by, nowMs: clock.nowMs() },
      (isFreed) => outcome ?? (isFreed ? { kind: "resolved", placing: { ...found.placing, state: "resolved" } } : { kind: "settled" }),
    );
    return run.kind === "key_taken" ? run : run.outcome;
  }

  /** Settles a placing by the SID that a person found. */
  async #settleBy(
    account: Account,
    callSid: string,
    { placing, sealedRequest, keyHash }: NonNullable<Awaited<ReturnType<PlacingStore["getPlacing"]>>>,
    { answerOf, keyed, by }: ResolveOptions,
  ): Promise<ResolveOutcome> {
    const { drafts, secretBox, clock } = this.#options;
    // The process may have ended between the settling and the answer.
    if (keyed !== null && placing.state === "resolved" && placing.callSid === callSid) return { kind: "resolved", placing };
    if (placing.state !== "unknown" || sealedRequest === null || keyHash === null) return { kind: "settled" };
    const source = drafts.sourceOf(account, placing.sourceName);
    if (source.kind !== "source") return source;
    const sidFault = source.source.sidFault(callSid);
    if (sidFault !== null) return invalid("invalid-request", "/call_sid", sidFault);
    const kept = JSON.parse(secretBox.open(sealedRequest, associatedData("placing", placing.id))) as PlacedWatchRequest;
    const nowMs = clock.nowMs();
    // The time that the client asked for may be over, and the watch is made all the same.
    const request = { ...kept, expiresAtMs: kept.expiresAtMs !== null && kept.expiresAtMs > nowMs ? kept.expiresAtMs : null };
    const parts = drafts.draftParts(drafts.parseRequest(request), nowMs);
    if (parts.kind !== "parts") return parts;
    const hashes = { keyHash, callHash: placing.callHash };
    const settled = { id: placing.id, from: "unknown", by, lastDigits: null } as const;
    const outcome = await this.settle({ account, source: source.source, request, callSid, parts, hashes, placing: settled, answerOf });
    // An answer that was stored is another request's, which settled the placing first.
    if (outcome === null || outcome.kind === "key_taken") return { kind: "settled" };
    const found = await this.#options.store.getPlacing(account.id, placing.id);
    return found === null ? { kind: "unknown" } : { kind: "resolved", placing: found.placing };
  }

  async #lose(placingId: string | null, leasedUntilMs: number, limit: number): Promise<number> {
    const { store, clock, listeners, logger, metrics } = this.#options;
    const lost = await store.losePlacings({ placingId, leasedUntilMs, nowMs: clock.nowMs(), limit });
    for (const { id, sourceName } of lost.placings) {
      metrics.placingFinished("unknown");
      if (placingId === null) logger.warn({ placing_id: id, source: sourceName, reason: "its process has ended" }, "call.unknown");
    }
    for (const listener of listeners) listener.committed(lost);
    return lost.placings.length;
  }
}

import type { Actor } from "../../domain/audit.ts";
import { lastDigitsOf } from "../../domain/audit.ts";
import { numberFault, placingLeaseMs, turnWaitMs } from "../../domain/calls/placing.ts";
import type { placingOutcomes } from "../../domain/calls/placing.ts";
import { messageOf } from "../../domain/error-text.ts";
import { isTransientStoreError } from "../../domain/errors.ts";
import { newId } from "../../domain/ids.ts";
import type { Quotas } from "../../domain/quotas.ts";
import { associatedData } from "../../domain/secrets/sealed-identity.ts";
import { sandboxSourceName } from "../../domain/sources/sandbox.ts";
import type { ReadyTrigger } from "../../ports/call-trigger.ts";
import type { Clock } from "../../ports/clock.ts";
import type { SecretBox } from "../../ports/secret-box.ts";
import type { Account } from "../../ports/stores/account-store.ts";
import type { ClaimableStore, IdempotencyStore } from "../../ports/stores/idempotency-store.ts";
import type { PlacingDraft, PlacingStore } from "../../ports/stores/placing-store.ts";
import type { Logger, Metrics } from "../../ports/telemetry.ts";
import type { IdempotencyKeyInUse, IdempotencyKeyUse, IdempotentRequest, KeyedRequest } from "../../ports/use-cases/idempotency.ts";
import type { CallPlacing, NotPlaced, PlaceOutcome, PlaceRequest } from "../../ports/use-cases/placing.ts";
import type { Refusal } from "../../ports/use-cases/registration.ts";
import type { Poller } from "../polling/poller.ts";
import type { PolledSource } from "../sources/polled-source.ts";
import type { PolledCall } from "../polling/polled-call.ts";
import { sleep } from "../runtime/timed-waits.ts";
import type { RegistrableSource } from "../sources/registrable-source.ts";
import type { PlacingHashes, PlacingKeys } from "./placing-keys.ts";
import { intentRefusalOf, mayNotPlace, noTurn, refusalOfTrigger, sourceSuspended, stopping } from "./placing-outcome.ts";
import type { PlacingSettler } from "./placing-settler.ts";
import { invalid } from "./registration-outcome.ts";
import type { DraftedParts, WatchDrafts } from "./watch-drafts.ts";

export type CallPlacerOptions = {
  readonly store: PlacingStore & ClaimableStore & IdempotencyStore;
  readonly keys: PlacingKeys;
  readonly drafts: WatchDrafts;
  readonly settler: PlacingSettler;
  readonly secretBox: SecretBox;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly quotas: Quotas;
  readonly poller: Pick<Poller, "sources">;
};

/** A request without a fault. */
type Checked = {
  readonly kind: "checked";
  readonly source: RegistrableSource;
  readonly polled: PolledSource<PolledCall>;
  readonly trigger: ReadyTrigger;
  readonly parts: DraftedParts;
};
/** An intent that was committed. */
type Intent = Checked & {
  readonly account: Account;
  readonly request: PlaceRequest;
  readonly keyed: KeyedRequest<PlaceOutcome>;
  readonly hashes: PlacingHashes;
  readonly by: Actor;
  readonly placingId: string;
  /** Monotonic time until which this process may settle the intent. */
  readonly untilMonotonicMs: number;
};

const callMaxBytes = 30 * 1024;
const retryMs = 200;
/**
 * Longest time for which a process may stand still between the turn of a trigger and its sending. After a longer stop another
 * process may have settled the intent.
 */
const stalledMs = 2000;

/**
 * Places calls. The intent is committed before anything is sent, and the trigger is sent at most once. The intent is dropped if
 * nothing left the socket. The answer's head decides if one came; otherwise the outcome is `unknown`.
 */
export class CallPlacer implements CallPlacing {
  readonly #options: CallPlacerOptions;
  readonly #closed = new AbortController();

  constructor(options: CallPlacerOptions) {
    this.#options = options;
  }

  /** Ends the repeats of what the store did not take. What is not settled becomes unknown when its lease has ended. */
  close(): void {
    this.#closed.abort();
  }

  take(request: IdempotentRequest): Promise<IdempotencyKeyUse | IdempotencyKeyInUse> {
    return this.#options.keys.take(request);
  }

  async place(
    account: Account,
    request: PlaceRequest,
    keyed: KeyedRequest<PlaceOutcome>,
    by: Actor,
  ): Promise<PlaceOutcome | IdempotencyKeyInUse> {
    const { store, keys, clock } = this.#options;
    const checked = await this.#check(account, request);
    if (checked.kind !== "checked") return checked;
    const hashes = keys.hashesOf(keyed.request);
    const untilMonotonicMs = clock.monotonicMs() + placingLeaseMs;
    const later = this.#refuseLater(account, checked);
    const draft = this.#draftIntent(account, request, keyed.request.key, checked, { hashes, isCheckOnly: later !== null });
    const created = await store.createPlacing(draft);
    if (created.kind === "key_used") return (await keys.useOf(keyed.request)) ?? { kind: "key_taken", by: "running" };
    if (created.kind !== "created" && created.kind !== "checked") return intentRefusalOf(created, account.placing);
    if (later !== null) return later;
    return this.#send({ ...checked, account, request, keyed, hashes, by, placingId: draft.id, untilMonotonicMs });
  }

  resolve(...request: Parameters<CallPlacing["resolve"]>): ReturnType<CallPlacing["resolve"]> {
    return this.#options.settler.resolve(...request);
  }

  /** Finds every fault of the request itself. */
  async #check(account: Account, request: PlaceRequest): Promise<Checked | Refusal> {
    const { drafts, poller, clock } = this.#options;
    const found = drafts.sourceOf(account, request.sourceName);
    if (found.kind !== "source") return found;
    const { source } = found;
    const polled = poller.sources.get(source.name);
    const placing = polled?.setup.callSource.trigger;
    if (polled === undefined || placing === undefined)
      return invalid("cannot-place", "/source", `source ${source.name} has no trigger, so it places no calls`);
    if (Buffer.byteLength(JSON.stringify(request.call)) > callMaxBytes)
      return invalid("invalid-request", "/call", `must be at most ${callMaxBytes} bytes of JSON`);
    const trigger = placing.prepare(request.call);
    if (trigger.kind === "invalid")
      return {
        kind: "invalid",
        slug: "invalid-request",
        errors: trigger.faults.map(({ path, detail }) => ({ pointer: pointerOf(path), detail })),
      };
    const { prefixes } = account.placing;
    const fault = trigger.number === null ? null : numberFault(trigger.number, trigger.hasCountryCode, prefixes);
    if (fault !== null) return invalid("invalid-request", pointerOf(trigger.numberPath), fault);
    const parsed = drafts.parseRequest(request);
    const parts = drafts.draftParts(parsed, clock.nowMs());
    if (parts.kind !== "parts") return parts;
    const refusal = await drafts.checkName(account, parsed.callback, "/callback_url");
    return refusal ?? { kind: "checked", source, polled, trigger, parts };
  }

  /** Returns what refuses a request without a fault once its quotas are checked; `null` if nothing does. */
  #refuseLater(account: Account, { source, polled }: Checked): Refusal | NotPlaced | null {
    const saturated = this.#options.drafts.saturatedByOneMore(account, source.name);
    if (saturated !== null) return saturated;
    if (polled.gate.suspension !== null) return sourceSuspended(source.name);
    return account.placing.mayPlace || source.name === sandboxSourceName ? null : mayNotPlace(account.name);
  }

  #draftIntent(
    account: Account,
    request: PlaceRequest,
    idempotencyKey: string,
    { source, parts }: Checked,
    { hashes, isCheckOnly }: { readonly hashes: PlacingHashes; readonly isCheckOnly: boolean },
  ): PlacingDraft {
    const { clock, secretBox, quotas } = this.#options;
    const nowMs = clock.nowMs();
    const id = newId("plc", nowMs);
    // JSON leaves `undefined` out: the words of the call are not kept.
    return {
      id,
      accountId: account.id,
      sourceName: source.name,
      idempotencyKey,
      ...hashes,
      metadata: request.metadata,
      sealedRequest: secretBox.seal(JSON.stringify({ ...request, call: undefined }), associatedData("placing", id)),
      leaseUntilMs: nowMs + placingLeaseMs,
      endpoint: parts.drafted?.endpoint ?? null,
      needsHook: request.needsHook,
      quotas,
      limits: source.name === sandboxSourceName ? null : account.placing,
      isCheckOnly,
      nowMs,
    };
  }

  async #send(intent: Intent): Promise<PlaceOutcome | IdempotencyKeyInUse> {
    const { clock, logger } = this.#options;
    const { source, polled, trigger, placingId, untilMonotonicMs } = intent;
    const turn = await polled.waitForTurn(intent.account.id, turnWaitMs);
    if (turn === "closed") return this.#drop(intent, "suspended", sourceSuspended(source.name));
    if (turn === "stopped") return this.#drop(intent, "stopping", stopping());
    const isStalled = clock.monotonicMs() > untilMonotonicMs - placingLeaseMs + turnWaitMs + stalledMs;
    if (turn === "late" || isStalled) return this.#drop(intent, "no_turn", noTurn(source.name));
    const outcome = await trigger.send();
    if (outcome.kind === "placed") {
      // Logged first, so that a person finds the SID if the commit fails.
      logger.info({ placing_id: placingId, source: source.name, call_sid: outcome.callSid }, "call.placed");
      return this.#commit(intent, outcome.callSid);
    }
    if (outcome.kind === "unknown") return this.#lose(intent, outcome.reason);
    logger.info({ placing_id: placingId, source: source.name, outcome: outcome.kind }, "call.not_placed");
    return this.#drop(intent, outcome.kind, refusalOfTrigger(source.name, outcome));
  }

  /** Commits the watch with the SID and the answer. The outcome is unknown if the store does not answer in time. */
  async #commit(intent: Intent, callSid: string): Promise<PlaceOutcome | IdempotencyKeyInUse> {
    const { settler, metrics } = this.#options;
    const { account, source, request, parts, hashes, keyed, by, trigger, placingId } = intent;
    try {
      const outcome = await this.#untilLeaseEnds(intent, () =>
        settler.settle({
          account,
          source,
          request,
          callSid,
          parts,
          hashes,
          placing: { id: placingId, from: "sending", by, lastDigits: lastDigitsOf(trigger.number) },
          answerOf: keyed.answerOf,
        }),
      );
      if (outcome === null) return await this.#lose(intent, `the call ${callSid} was placed after the intent had been given up`);
      metrics.placingFinished("placed");
      return outcome;
    } catch (error) {
      if (!isTransientStoreError(error)) throw error;
      return this.#lose(intent, messageOf(error));
    }
  }

  async #drop<Outcome>(
    { account, placingId, ...intent }: Intent,
    outcome: (typeof placingOutcomes)[number],
    answer: Outcome,
  ): Promise<Outcome> {
    const { store, metrics } = this.#options;
    await this.#untilLeaseEnds(intent, () => store.dropPlacing({ accountId: account.id, placingId }));
    metrics.placingFinished(outcome);
    return answer;
  }

  /** Makes the intent unknown. If the store does not answer, its lease ends and the sweeper does. */
  async #lose({ placingId, source }: Intent, reason: string): Promise<PlaceOutcome> {
    const { settler, logger } = this.#options;
    logger.warn({ placing_id: placingId, source: source.name, reason }, "call.unknown");
    await settler.lose(placingId).catch((error: unknown) => {
      logger.warn({ placing_id: placingId, error: messageOf(error) }, "call.unknown_not_recorded");
    });
    return { kind: "call_unknown", placingId };
  }

  /** Repeats an operation of the store while it may succeed later and the lease lasts. */
  async #untilLeaseEnds<T>({ untilMonotonicMs }: Pick<Intent, "untilMonotonicMs">, operation: () => Promise<T>): Promise<T> {
    const { clock } = this.#options;
    const { signal } = this.#closed;
    for (;;) {
      try {
        return await operation();
      } catch (error) {
        if (!isTransientStoreError(error) || signal.aborted || clock.monotonicMs() + retryMs >= untilMonotonicMs) throw error;
        await sleep(clock, retryMs, signal);
      }
    }
  }
}

function pointerOf(path: readonly string[]): string {
  return ["call", ...path].map((key) => `/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
}

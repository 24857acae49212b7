import { parseCallbackUrl } from "../../domain/webhooks/callback-url.ts";
import type { ParsedCallbackUrl } from "../../domain/webhooks/callback-url.ts";
import { newId } from "../../domain/ids.ts";
import { maxDeadlineMs } from "../../domain/calls/watch.ts";
import type { Quotas } from "../../domain/quotas.ts";
import type { PayloadFormat } from "../../domain/events/payload.ts";
import type { Account } from "../../ports/stores/account-store.ts";
import type { KeyedRequest, IdempotencyKeyInUse } from "../../ports/use-cases/idempotency.ts";
import type {
  BatchOutcome,
  EndpointRequest,
  HookOutcome,
  HookRequest,
  Refusal,
  Registration,
  WatchOutcome,
  WatchRequest,
} from "../../ports/use-cases/registration.ts";
import type { Clock } from "../../ports/clock.ts";
import type { CommitListener, EndpointListener, Removal } from "../../ports/commit-listener.ts";
import type {
  EndpointDraft,
  RegisterHookResult,
  RegisterWatchResult,
  RegistrationStore,
  WatchDraft,
} from "../../ports/stores/registration-store.ts";
import type { SecretBox } from "../../ports/secret-box.ts";
import type { AddressGuard } from "../../ports/webhook-sender.ts";
import type { Poller } from "../polling/poller.ts";
import type { Idempotency } from "../requests/idempotency.ts";
import type { RegistrableSource } from "../sources/registrable-source.ts";
import { hookOutcomeOf, invalid, onlyOf, resultAt, watchOutcomeOf } from "./registration-outcome.ts";
import { draftSecret, sealHeaders } from "./sealed-drafts.ts";
import { SpareSecrets } from "./spare-secrets.ts";
import type { GeneratedSecret } from "./spare-secrets.ts";

export type RegistrarOptions = {
  readonly store: Pick<RegistrationStore, "removeWatch" | "removeHook">;
  readonly idempotency: Pick<Idempotency, "run">;
  readonly secretBox: SecretBox;
  readonly guard: AddressGuard;
  readonly allowHttp: boolean;
  readonly clock: Clock;
  readonly sources: ReadonlyMap<string, RegistrableSource>;
  readonly quotas: Quotas;
  readonly watchDeadlineMs: number;
  readonly poller: Pick<Poller, "watch" | "rewatch" | "calls" | "sources">;
  /** Listeners of registrations and removals. */
  readonly listeners: readonly CommitListener[];
  readonly endpointListener: Pick<EndpointListener, "reopenEndpoint">;
};

/** Delay of the next try after a refusal by a saturated source, because some of its calls may have ended by then. */
const saturatedRetryMs = 60_000;

type CallbackUrl = Extract<ParsedCallbackUrl, { kind: "url" }>;
/** A request with its callback URL parsed and checked once; `callback` is `null` if the request has none. */
type ParsedRequest = { readonly request: WatchRequest; readonly callback: CallbackUrl | Refusal | null };
type Draft<T> = { readonly kind: "draft"; readonly draft: T } | Refusal;
type DraftedEndpoint = { readonly endpoint: EndpointDraft; readonly generated: GeneratedSecret };
/** Calls that a batch adds, by source. */
type NewCalls = Map<string, Set<string>>;
type DraftedWatch = { readonly watch: WatchDraft; readonly generated: GeneratedSecret | null };

/**
 * Turns requests into drafts, which the store checks and commits. Passes them to the poller and the listeners only after
 * the commit. A crash before the commit leaves nothing; after it, the next start loads the watch from the store.
 */
export class Registrar implements Registration {
  readonly #options: RegistrarOptions;
  readonly #spareSecrets: SpareSecrets;

  constructor(options: RegistrarOptions) {
    this.#options = options;
    this.#spareSecrets = new SpareSecrets(options.secretBox);
  }

  async registerWatch(
    account: Account,
    request: WatchRequest,
    keyed: KeyedRequest<WatchOutcome> | null,
  ): Promise<WatchOutcome | IdempotencyKeyInUse> {
    const parsed = this.#parseRequest(request);
    const refusal = await this.#checkName(account, parsed.callback, "/callback_url");
    return refusal ?? this.#register(account, [parsed], keyed, onlyOf);
  }

  async registerBatch(
    account: Account,
    requests: readonly WatchRequest[],
    keyed: KeyedRequest<BatchOutcome> | null,
  ): Promise<BatchOutcome | IdempotencyKeyInUse> {
    const parsed = requests.map((request) => this.#parseRequest(request));
    return this.#register(account, parsed, keyed, (outcomes) => ({ kind: "batch", outcomes }));
  }

  /** Drafts every request, commits the drafts together and acts on the watches that were created. */
  async #register<Outcome>(
    account: Account,
    requests: readonly ParsedRequest[],
    keyed: KeyedRequest<Outcome> | null,
    answer: (outcomes: readonly WatchOutcome[]) => Outcome,
  ): Promise<Outcome | IdempotencyKeyInUse> {
    const nowMs = this.#options.clock.nowMs();
    const newCalls: NewCalls = new Map();
    const drafted = requests.map((request) => this.#draftWatch(account, request, newCalls, nowMs));
    const drafts = drafted.flatMap((item) => (item.kind === "draft" ? [item.draft] : []));
    const outcomeOf = (results: readonly RegisterWatchResult[]): Outcome => {
      const outcomes = drafts.map((draft, index) => watchOutcomeOf(draft.generated?.text ?? null, resultAt(results, index))).values();
      return answer(drafted.map((item) => (item.kind === "draft" ? (outcomes.next().value as WatchOutcome) : item)));
    };
    if (drafts.length === 0 && keyed === null) return outcomeOf([]);
    const run = await this.#options.idempotency.run(
      keyed,
      (store) => store.registerWatches,
      drafts.map(({ watch }) => watch),
      outcomeOf,
    );
    if (run.kind === "key_taken") return run;
    for (const [index, { watch, generated }] of drafts.entries()) {
      const result = resultAt(run.result, index);
      if (keyed === null) this.#keepUnused(generated, result);
      this.#publishCreation(watch, result);
    }
    return run.outcome;
  }

  async removeWatch(account: Account, watchId: string, purge: boolean): Promise<boolean> {
    const { store, clock, poller } = this.#options;
    const removed = await store.removeWatch({ accountId: account.id, watchId, purge, nowMs: clock.nowMs() });
    if (removed.kind === "unknown") return false;
    poller.rewatch(removed.callId, removed.call);
    this.#publishRemoval({ watchId, deliveryIds: [], notices: removed.notices });
    return true;
  }

  async registerHook(
    account: Account,
    request: HookRequest,
    keyed: KeyedRequest<HookOutcome> | null,
  ): Promise<HookOutcome | IdempotencyKeyInUse> {
    const { idempotency, clock, quotas } = this.#options;
    const pointer = `/${request.urlKey}`;
    const callback = this.#parseCallback(request.url, pointer);
    if (callback.kind !== "url") return callback;
    const refusal = await this.#checkName(account, callback, pointer);
    if (refusal !== null) return refusal;
    const nowMs = clock.nowMs();
    const { endpoint, generated } = this.#draftEndpoint(request, callback, "flat", nowMs);
    const draft = { id: newId("hk", nowMs), accountId: account.id, endpoint, filter: request.filter, nowMs, quotas };
    const run = await idempotency.run(
      keyed,
      (store) => store.registerHook,
      draft,
      (result) => hookOutcomeOf(generated.text, result),
    );
    if (run.kind === "key_taken") return run;
    if (keyed === null) this.#keepUnused(generated, run.result);
    const view = run.result.kind === "created" || run.result.kind === "existing" ? run.result.view : null;
    if (view !== null && view.endpoint.state !== "disabled") this.#options.endpointListener.reopenEndpoint(view.endpoint.id);
    return run.outcome;
  }

  async removeHook(account: Account, hookId: string): Promise<void> {
    const { store, clock } = this.#options;
    const { canceledLeased } = await store.removeHook({ accountId: account.id, hookId, nowMs: clock.nowMs() });
    this.#publishRemoval({ watchId: null, deliveryIds: canceledLeased, notices: [] });
  }

  #draftWatch(account: Account, { request, callback }: ParsedRequest, newCalls: NewCalls, nowMs: number): Draft<DraftedWatch> {
    const { sources, poller, quotas, watchDeadlineMs } = this.#options;
    const source = sources.get(request.sourceName);
    if (source === undefined || !source.mayUse(account))
      return invalid(
        "no-source",
        "/source",
        `there is no source ${JSON.stringify(request.sourceName)} for this account; GET /v1/sources lists what it may use`,
      );
    const scope = source.scopeOf(account);
    if (this.#isSaturated(account, source.name, scope, request.callSid, newCalls))
      return {
        kind: "later",
        slug: "source-saturated",
        detail: `the account has reached the number of calls on source ${source.name} that its part of the rate can poll`,
        retryAfterMs: saturatedRetryMs,
      };
    const expiresAtMs = request.expiresAtMs ?? nowMs + watchDeadlineMs;
    if (expiresAtMs <= nowMs || expiresAtMs > nowMs + maxDeadlineMs)
      return invalid("invalid-request", "/expires_at", "must be in the future and at most 7 days ahead");
    if (callback !== null && callback.kind !== "url") return callback;
    const drafted = callback === null ? null : this.#draftEndpoint(request, callback, "standard", nowMs);
    const watch: WatchDraft = {
      id: newId("wch", nowMs),
      accountId: account.id,
      sourceName: source.name,
      scope,
      callSid: request.callSid,
      callId: newId("call", nowMs),
      endpoint: drafted?.endpoint ?? null,
      filter: request.filter,
      metadata: request.metadata,
      expiresAtMs,
      nowMs,
      polledAtMs: poller.calls.find(source.name, scope, request.callSid)?.lastGoodPollAtMs ?? null,
      restartsEndedCall: source.replayable(scope, request.callSid),
      quotas,
    };
    return { kind: "draft", draft: { watch, generated: drafted?.generated ?? null } };
  }

  /** Whether the account's part of the source has no capacity for the call. A call that is polled already, or that the same batch adds, is no further load. */
  #isSaturated(account: Account, sourceName: string, scope: string, callSid: string, newCalls: NewCalls): boolean {
    const { poller } = this.#options;
    const added = newCalls.get(sourceName) ?? new Set();
    const call = `${scope} ${callSid}`;
    if (added.has(call) || poller.calls.find(sourceName, scope, callSid) !== undefined) return false;
    const isSaturated = poller.sources.isSaturated(sourceName, account.id, added.size + 1);
    if (!isSaturated) newCalls.set(sourceName, added.add(call));
    return isSaturated;
  }

  #draftEndpoint(request: EndpointRequest, callback: CallbackUrl, defaultFormat: PayloadFormat, nowMs: number): DraftedEndpoint {
    const { secretBox } = this.#options;
    const id = newId("ep", nowMs);
    const generated = this.#spareSecrets.take(nowMs);
    const endpoint: EndpointDraft = {
      id,
      url: callback.url,
      origin: callback.origin,
      format: request.format,
      defaultFormat,
      late: defaultFormat === "flat" ? "drop" : "send",
      headers: request.headers === null ? null : sealHeaders(secretBox, id, request.headers),
      givenSecret: request.signingSecret === null ? null : draftSecret(secretBox, request.signingSecret, nowMs),
      generatedSecret: generated.draft,
    };
    return { endpoint, generated };
  }

  /**
   * Keeps the secret of a draft for another endpoint, if it is certain that no row and no answer holds it. A result
   * `created` without that secret is proof: the row with the id of the draft was inserted in the transaction that found the
   * endpoint, so no earlier run of the draft was committed. Any other result, a rejection and a keyed request, whose stored
   * answer outlives this process, are no proof.
   */
  #keepUnused(generated: GeneratedSecret | null, result: RegisterWatchResult | RegisterHookResult): void {
    if (generated !== null && result.kind === "created" && !result.showsGeneratedSecret) this.#spareSecrets.keep(generated);
  }

  #parseRequest(request: WatchRequest): ParsedRequest {
    const { callbackUrl } = request;
    return { request, callback: callbackUrl === null ? null : this.#parseCallback(callbackUrl, "/callback_url") };
  }

  /** Checks syntax, port and literal address, without the network. */
  #parseCallback(text: string, pointer: string): CallbackUrl | Refusal {
    const { allowHttp, guard } = this.#options;
    const parsed = parseCallbackUrl(text, { allowHttp });
    if (parsed.kind === "invalid") return invalid("invalid-request", pointer, parsed.detail);
    const blocked = guard.checkUrl(parsed.parsed);
    return blocked === null ? parsed : invalid("blocked-address", pointer, blocked.reason);
  }

  /** Starts polling the call of a watch that was created and sends its first events. */
  #publishCreation(watch: WatchDraft, result: RegisterWatchResult): void {
    if (result.kind !== "created") return;
    const { poller, sources, listeners, endpointListener } = this.#options;
    if (result.call !== null) {
      if (result.call.status.status === null) sources.get(watch.sourceName)?.restart(watch.scope, watch.callSid);
      poller.watch(result.call);
    }
    if (result.view.endpoint !== null) endpointListener.reopenEndpoint(result.view.endpoint.id);
    for (const listener of listeners) listener.committed(result);
  }

  #publishRemoval(removal: Removal): void {
    for (const listener of this.#options.listeners) listener.removed(removal);
  }

  /** Refuses a name that is new to the process and resolves to a forbidden address, before anything is written. */
  async #checkName(account: Account, callback: CallbackUrl | Refusal | null, pointer: string): Promise<Refusal | null> {
    if (callback?.kind !== "url") return null;
    const blocked = await this.#options.guard.checkName(callback.parsed, account.id);
    return blocked === null ? null : invalid("blocked-address", pointer, blocked.reason);
  }
}

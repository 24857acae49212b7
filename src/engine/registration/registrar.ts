import { parseCallbackUrl } from "../../domain/webhooks/callback-url.ts";
import { newId } from "../../domain/ids.ts";
import { associatedData } from "../../domain/secrets/sealed-identity.ts";
import { generateSecret } from "../../domain/webhooks/signature.ts";
import { maxDeadlineMs } from "../../domain/calls/watch.ts";
import type { PayloadFormat } from "../../domain/deliveries/endpoint.ts";
import type { Account } from "../../ports/stores/account-store.ts";
import type { Claim, IdempotencyKeyInUse } from "../../ports/use-cases/idempotency.ts";
import type {
  BatchOutcome,
  HookOutcome,
  HookRequest,
  Refusal,
  Registration,
  WatchOutcome,
  WatchRequest,
} from "../../ports/use-cases/registration.ts";
import type { Notice, WatchedCall } from "../../ports/stores/call-store.ts";
import type { Clock } from "../../ports/clock.ts";
import type {
  EndpointDraft,
  Quotas,
  RegisterWatchResult,
  RegistrationStore,
  SecretDraft,
  WatchDraft,
} from "../../ports/stores/registration-store.ts";
import type { SecretBox } from "../../ports/secret-box.ts";
import type { SendJob } from "../../ports/stores/send-job.ts";
import type { AddressGuard } from "../../ports/webhook-sender.ts";
import type { Idempotency } from "../requests/idempotency.ts";
import { hookOutcomeOf, invalid, onlyOf, resultAt, watchOutcomeOf } from "./registration-outcome.ts";

/** How a source treats registrations; `scope` is what makes a call one call within it. */
export type RegistrableSource = {
  readonly name: string;
  /** "" where everybody sees the same calls. */
  scopeOf(account: Account): string;
  mayUse(account: Account): boolean;
  /** The call's life is over, and the first watch after that starts it anew; false where calls have but one life. */
  replayable(scope: string, callSid: string): boolean;
  /** The first poll of a new life is about to be made. */
  restart(scope: string, callSid: string): void;
};

/** What the registrar tells the rest of the engine, always after the commit. */
export type RegistrarConsumers = {
  /** Poll this call from now on. */
  watch(call: WatchedCall): void;
  /** What of the call is left to poll after a watch was removed; null: nothing. */
  rewatch(callId: string, call: WatchedCall | null): void;
  lastGoodPollAtMs(sourceName: string, scope: string, callSid: string): number | null;
  isPolled(sourceName: string, scope: string, callSid: string): boolean;
  /** How long to wait when the source cannot take `additional` more calls; null: it can. */
  saturation(sourceName: string, additional: number): number | null;
  dispatch(jobs: readonly SendJob[]): void;
  notify(notices: readonly Notice[]): void;
  /** No attempt for this watch may start once it returns. */
  cancelWatch(watchId: string): void;
  /** No attempt of these deliveries, owed to a hook alone, may start once it returns. */
  cancelDeliveries(deliveryIds: readonly string[]): void;
  /** A new watch or hook named it: had it been disabled, it is enabled now. */
  reopenEndpoint(endpointId: string): void;
};

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
  readonly consumers: RegistrarConsumers;
};

type EndpointRequest = {
  readonly url: string;
  readonly pointer: string;
  readonly format: PayloadFormat | null;
  readonly headers: Readonly<Record<string, string>> | null;
  readonly signingSecret: string | null;
};
type Draft<T> = { readonly kind: "draft"; readonly draft: T } | Refusal;
type DraftedEndpoint = { readonly endpoint: EndpointDraft; readonly generatedSecret: string };
/** The calls a batch adds to each source. */
type NewCalls = Map<string, Set<string>>;
type DraftedWatch = { readonly watch: WatchDraft; readonly generatedSecret: string | null };

/**
 * Turns requests into drafts, lets the store judge and commit them, and only then tells the poller and the dispatcher.
 * A crash before the commit leaves nothing; after it, the start finds the watch on disk.
 */
export class Registrar implements Registration {
  readonly #options: RegistrarOptions;

  constructor(options: RegistrarOptions) {
    this.#options = options;
  }

  async registerWatch(
    account: Account,
    request: WatchRequest,
    claim: Claim<WatchOutcome> | null,
  ): Promise<WatchOutcome | IdempotencyKeyInUse> {
    const refusal = await this.#checkName(request.callbackUrl, "/callback_url");
    if (refusal !== null) return refusal;
    const batchClaim = claim === null ? null : { ...claim, answerOf: (batch: BatchOutcome) => claim.answerOf(onlyOf(batch)) };
    const batch = await this.registerBatch(account, [request], batchClaim);
    return batch.kind === "key_taken" ? batch : onlyOf(batch);
  }

  async registerBatch(
    account: Account,
    requests: readonly WatchRequest[],
    claim: Claim<BatchOutcome> | null,
  ): Promise<BatchOutcome | IdempotencyKeyInUse> {
    const nowMs = this.#options.clock.nowMs();
    const newCalls: NewCalls = new Map();
    const drafted = requests.map((request) => this.#draftWatch(account, request, newCalls, nowMs));
    const drafts = drafted.flatMap((item) => (item.kind === "draft" ? [item.draft] : []));
    const batchOf = (results: readonly RegisterWatchResult[]): BatchOutcome => {
      const outcomes = drafts.map((draft, index) => watchOutcomeOf(draft.generatedSecret, resultAt(results, index))).values();
      return { kind: "batch", outcomes: drafted.map((item) => (item.kind === "draft" ? (outcomes.next().value as WatchOutcome) : item)) };
    };
    if (drafts.length === 0 && claim === null) return batchOf([]);
    const { idempotency } = this.#options;
    const run = await idempotency.run(
      claim,
      "registerWatches",
      drafts.map(({ watch }) => watch),
      batchOf,
    );
    if (run.kind === "key_taken") return run;
    for (const [index, { watch }] of drafts.entries()) this.#tell(watch, resultAt(run.result, index));
    return run.outcome;
  }

  async removeWatch(account: Account, watchId: string, purge: boolean): Promise<boolean> {
    const { store, clock, consumers } = this.#options;
    const removed = await store.removeWatch({ accountId: account.id, watchId, purge, nowMs: clock.nowMs() });
    if (removed.kind === "unknown") return false;
    consumers.cancelWatch(watchId);
    consumers.rewatch(removed.callId, removed.call);
    consumers.notify(removed.notices);
    return true;
  }

  async registerHook(account: Account, request: HookRequest, claim: Claim<HookOutcome> | null): Promise<HookOutcome | IdempotencyKeyInUse> {
    const { idempotency, clock, quotas } = this.#options;
    const pointer = `/${request.urlKey}`;
    const refusal = await this.#checkName(request.url, pointer);
    if (refusal !== null) return refusal;
    const nowMs = clock.nowMs();
    const drafted = this.#draftEndpoint({ ...request, pointer }, "flat", nowMs);
    if (drafted.kind !== "draft") return drafted;
    const { endpoint, generatedSecret } = drafted.draft;
    const draft = { id: newId("hk", nowMs), accountId: account.id, endpoint, events: request.events, nowMs, quotas };
    const run = await idempotency.run(claim, "registerHook", draft, (result) => hookOutcomeOf(generatedSecret, result));
    if (run.kind === "key_taken") return run;
    if (run.result.kind === "created") this.#options.consumers.reopenEndpoint(run.result.view.endpoint.id);
    return run.outcome;
  }

  async removeHook(account: Account, hookId: string): Promise<void> {
    const { store, clock, consumers } = this.#options;
    const removed = await store.removeHook({ accountId: account.id, hookId, nowMs: clock.nowMs() });
    if (removed.canceledLeased.length > 0) consumers.cancelDeliveries(removed.canceledLeased);
  }

  #draftWatch(account: Account, request: WatchRequest, newCalls: NewCalls, nowMs: number): Draft<DraftedWatch> {
    const { sources, consumers, quotas, watchDeadlineMs } = this.#options;
    const source = sources.get(request.sourceName);
    if (source === undefined || !source.mayUse(account))
      return invalid(
        "no-source",
        "/source",
        `there is no source ${JSON.stringify(request.sourceName)} for this account; GET /v1/sources lists what it may use`,
      );
    const scope = source.scopeOf(account);
    const waitMs = this.#saturation(source.name, scope, request.callSid, newCalls);
    if (waitMs !== null)
      return {
        kind: "later",
        slug: "source-saturated",
        detail: `source ${source.name} has reached the number of calls that its rate limit can poll`,
        retryAfterMs: waitMs,
      };
    const expiresAtMs = request.expiresAtMs ?? nowMs + watchDeadlineMs;
    if (expiresAtMs <= nowMs || expiresAtMs > nowMs + maxDeadlineMs)
      return invalid("invalid-request", "/expires_at", "must be in the future and at most 7 days ahead");
    const drafted =
      request.callbackUrl === null
        ? null
        : this.#draftEndpoint({ ...request, url: request.callbackUrl, pointer: "/callback_url" }, "standard", nowMs);
    if (drafted !== null && drafted.kind !== "draft") return drafted;
    const watch: WatchDraft = {
      id: newId("wch", nowMs),
      accountId: account.id,
      sourceName: source.name,
      scope,
      callSid: request.callSid,
      callId: newId("call", nowMs),
      endpoint: drafted?.draft.endpoint ?? null,
      events: request.events,
      metadata: request.metadata,
      expiresAtMs,
      nowMs,
      polledAtMs: consumers.lastGoodPollAtMs(source.name, scope, request.callSid),
      restartsEndedCall: source.replayable(scope, request.callSid),
      quotas,
    };
    return { kind: "draft", draft: { watch, generatedSecret: drafted?.draft.generatedSecret ?? null } };
  }

  /** Another watch of a call that is polled, or that the same batch adds, stretches nobody's interval. */
  #saturation(sourceName: string, scope: string, callSid: string, newCalls: NewCalls): number | null {
    const { consumers } = this.#options;
    const added = newCalls.get(sourceName) ?? new Set();
    const call = `${scope} ${callSid}`;
    if (added.has(call) || consumers.isPolled(sourceName, scope, callSid)) return null;
    const waitMs = consumers.saturation(sourceName, added.size + 1);
    if (waitMs === null) newCalls.set(sourceName, added.add(call));
    return waitMs;
  }

  #draftEndpoint(request: EndpointRequest, defaultFormat: PayloadFormat, nowMs: number): Draft<DraftedEndpoint> {
    const { allowHttp, guard, secretBox } = this.#options;
    const parsed = parseCallbackUrl(request.url, { allowHttp });
    if (parsed.kind === "invalid") return invalid("invalid-request", request.pointer, parsed.detail);
    const blocked = guard.checkUrl(new URL(parsed.url));
    if (blocked !== null) return invalid("blocked-address", request.pointer, blocked.reason);
    const id = newId("ep", nowMs);
    const generatedSecret = generateSecret();
    const endpoint: EndpointDraft = {
      id,
      url: parsed.url,
      origin: parsed.origin,
      format: request.format,
      defaultFormat,
      late: defaultFormat === "flat" ? "drop" : "send",
      headers: request.headers === null ? null : sealHeaders(secretBox, id, request.headers),
      givenSecret: request.signingSecret === null ? null : draftSecret(secretBox, request.signingSecret, nowMs),
      generatedSecret: draftSecret(secretBox, generatedSecret, nowMs),
    };
    return { kind: "draft", draft: { endpoint, generatedSecret } };
  }

  /** After the commit: the poller polls a call from now on, the dispatcher sends what the watch is told already. */
  #tell(watch: WatchDraft, result: RegisterWatchResult): void {
    if (result.kind !== "created") return;
    const { consumers, sources } = this.#options;
    if (result.call !== null) {
      if (result.call.status.status === null) sources.get(watch.sourceName)?.restart(watch.scope, watch.callSid);
      consumers.watch(result.call);
    }
    if (result.view.endpoint !== null) consumers.reopenEndpoint(result.view.endpoint.id);
    consumers.dispatch(result.jobs);
    consumers.notify(result.notices);
  }

  /** Asks the name servers about a host that is new, once, before anything is written. */
  async #checkName(callbackUrl: string | null, pointer: string): Promise<Refusal | null> {
    if (callbackUrl === null) return null;
    const { allowHttp, guard } = this.#options;
    const parsed = parseCallbackUrl(callbackUrl, { allowHttp });
    if (parsed.kind === "invalid") return null;
    const url = new URL(parsed.url);
    if (guard.checkUrl(url) !== null) return null;
    const blocked = await guard.checkName(url);
    return blocked === null ? null : invalid("blocked-address", pointer, blocked.reason);
  }
}

/** Header values as they lie on disk; `identity` is the endpoint's own. Sorted and in lower case, so that equal headers have equal fingerprints. */
export function sealHeaders(
  secretBox: SecretBox,
  endpointId: string,
  headers: Readonly<Record<string, string>>,
): NonNullable<EndpointDraft["headers"]> {
  const sorted = Object.entries(headers)
    .map(([name, value]) => [name.toLowerCase(), value] as const)
    .toSorted(([a], [b]) => (a < b ? -1 : 1));
  const plaintext = JSON.stringify(Object.fromEntries(sorted));
  return {
    names: sorted.map(([name]) => name),
    sealed: secretBox.seal(plaintext, associatedData("headers", endpointId)),
    fingerprints: secretBox.fingerprints(plaintext),
  };
}

/** A signing secret with an identity of its own, so that one row may serve many endpoints. */
export function draftSecret(secretBox: SecretBox, secret: string, nowMs: number): SecretDraft {
  const id = newId("sec", nowMs);
  return { id, sealed: secretBox.seal(secret, associatedData("secret", id)), fingerprints: secretBox.fingerprints(secret) };
}

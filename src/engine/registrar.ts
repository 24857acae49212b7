import { parseCallbackUrl } from "../domain/callback-url.ts";
import { newId } from "../domain/ids.ts";
import { sealedIdentity } from "../domain/sealed-identity.ts";
import { generateSecret } from "../domain/signature.ts";
import { maxDeadlineMs } from "../domain/watch.ts";
import type { PayloadFormat } from "../domain/endpoint.ts";
import type { Account } from "../ports/account-store.ts";
import type { FieldError, HookOutcome, HookRequest, Refusal, Registration, WatchOutcome, WatchRequest } from "../ports/bridge.ts";
import type { Notice, WatchedCall } from "../ports/call-store.ts";
import type { Clock } from "../ports/clock.ts";
import type {
  EndpointConflict,
  EndpointDraft,
  QuotaExceeded,
  Quotas,
  RegisterWatchResult,
  RegistrationStore,
  SecretDraft,
  WatchDraft,
} from "../ports/registration-store.ts";
import type { SecretBox } from "../ports/secret-box.ts";
import type { SendJob } from "../ports/send-job.ts";
import type { AddressGuard } from "../ports/webhook-sender.ts";

/** How a source treats registrations; `scope` is what makes a call one call within it. */
export type RegistrableSource = {
  readonly name: string;
  /** "" where everybody sees the same calls. */
  scopeOf(account: Account): string;
  mayUse(account: Account): boolean;
  /** A new watch on an ended call starts the call's life anew. */
  readonly restartsEndedCalls: boolean;
  /** The first poll of a new life is about to be made. */
  restarted(scope: string, callSid: string): void;
};

/** What the registrar tells the rest of the engine, always after the commit. */
export type RegistrarConsumers = {
  /** Poll this call from now on. */
  watch(call: WatchedCall): void;
  /** What of the call is left to poll after a watch was removed; null: nothing. */
  rewatch(callId: string, call: WatchedCall | null): void;
  lastGoodPollAtMs(sourceName: string, scope: string, callSid: string): number | null;
  /** How long to wait when the source cannot take `additional` more calls; null: it can. */
  saturation(sourceName: string, additional: number): number | null;
  dispatch(jobs: readonly SendJob[]): void;
  notify(notices: readonly Notice[]): void;
  /** No attempt for this watch may start once it returns. */
  cancelWatch(watchId: string): void;
  /** Drops held deliveries of the endpoint that were owed to a hook alone; they are claimed anew if still owed. */
  cancelEndpoint(endpointId: string): void;
};

export type RegistrarOptions = {
  readonly store: RegistrationStore;
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
type Drafted<T> = { readonly kind: "draft"; readonly draft: T } | Refusal;
type DraftedEndpoint = { readonly endpoint: EndpointDraft; readonly generatedSecret: string };
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

  async registerWatch(account: Account, request: WatchRequest): Promise<WatchOutcome> {
    const refusal = await this.#checkName(request.callbackUrl, "/callback_url");
    if (refusal !== null) return refusal;
    const [outcome] = await this.registerBatch(account, [request]);
    if (outcome === undefined) throw new Error("a batch of one has one outcome");
    return outcome;
  }

  async registerBatch(account: Account, requests: readonly WatchRequest[]): Promise<readonly WatchOutcome[]> {
    const nowMs = this.#options.clock.nowMs();
    const additionalBySource = new Map<string, number>();
    const drafted = requests.map((request) => {
      const additional = (additionalBySource.get(request.sourceName) ?? 0) + 1;
      additionalBySource.set(request.sourceName, additional);
      return this.#draftWatch(account, request, additional, nowMs);
    });
    const drafts = drafted.flatMap((item) => (item.kind === "draft" ? [item.draft] : []));
    const results = drafts.length === 0 ? [] : await this.#options.store.registerWatches(drafts.map((draft) => draft.watch));
    let next = 0;
    return drafted.map((item) => {
      if (item.kind !== "draft") return item;
      const result = results[next++];
      if (result === undefined) throw new Error("the store answers every draft");
      return this.#settleWatch(item.draft, result);
    });
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

  async registerHook(account: Account, request: HookRequest): Promise<HookOutcome> {
    const { store, clock, quotas } = this.#options;
    const pointer = `/${request.urlKey}`;
    const refusal = await this.#checkName(request.url, pointer);
    if (refusal !== null) return refusal;
    const nowMs = clock.nowMs();
    const drafted = this.#draftEndpoint({ ...request, pointer }, "flat", nowMs);
    if (drafted.kind !== "draft") return drafted;
    const { endpoint, generatedSecret } = drafted.draft;
    const draft = { id: newId("hk", nowMs), accountId: account.id, endpoint, events: request.events, nowMs, quotas };
    const result = await store.registerHook(draft);
    switch (result.kind) {
      case "created":
        return { kind: "created", view: result.view, secret: result.showsGeneratedSecret ? generatedSecret : null };
      case "existing":
        return { kind: "existing", view: result.view, secret: null };
      default:
        return refusalOf(result);
    }
  }

  async removeHook(account: Account, hookId: string): Promise<void> {
    const { store, clock, consumers } = this.#options;
    const removed = await store.removeHook({ accountId: account.id, hookId, nowMs: clock.nowMs() });
    if (removed.endpointId !== null) consumers.cancelEndpoint(removed.endpointId);
  }

  #draftWatch(account: Account, request: WatchRequest, additional: number, nowMs: number): Drafted<DraftedWatch> {
    const { sources, consumers, quotas, watchDeadlineMs } = this.#options;
    const source = sources.get(request.sourceName);
    if (source === undefined || !source.mayUse(account))
      return invalid(
        "no-source",
        "/source",
        `there is no source ${JSON.stringify(request.sourceName)} for this account; GET /v1/sources lists what it may use`,
      );
    const waitMs = consumers.saturation(source.name, additional);
    if (waitMs !== null)
      return {
        kind: "later",
        slug: "source-saturated",
        detail: `source ${source.name} watches as many calls as its rate allows`,
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
    const scope = source.scopeOf(account);
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
      restartsEndedCall: source.restartsEndedCalls,
      quotas,
    };
    return { kind: "draft", draft: { watch, generatedSecret: drafted?.draft.generatedSecret ?? null } };
  }

  #draftEndpoint(request: EndpointRequest, defaultFormat: PayloadFormat, nowMs: number): Drafted<DraftedEndpoint> {
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

  #settleWatch(drafted: DraftedWatch, result: RegisterWatchResult): WatchOutcome {
    const { consumers, sources } = this.#options;
    switch (result.kind) {
      case "created": {
        const { watch } = drafted;
        if (result.call !== null) {
          if (result.call.status.status === null) sources.get(watch.sourceName)?.restarted(watch.scope, watch.callSid);
          consumers.watch(result.call);
        }
        consumers.dispatch(result.jobs);
        consumers.notify(result.notices);
        return { kind: "created", view: result.view, signingSecret: result.showsGeneratedSecret ? drafted.generatedSecret : null };
      }
      case "existing":
        return { kind: "existing", view: result.view, signingSecret: null };
      case "watch_differs":
        return {
          kind: "conflict",
          slug: "watch-differs",
          detail: `watch ${result.watchId} looks at this call for this URL with other ${result.fields.join(" and ")}; delete it first or leave them out`,
          watchId: result.watchId,
          endpointId: null,
        };
      case "callback_required":
        return invalid("invalid-request", "/callback_url", "is required: the account has no hook that would be told instead");
      default:
        return refusalOf(result);
    }
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
    sealed: secretBox.seal(plaintext, sealedIdentity("headers", endpointId)),
    fingerprints: secretBox.fingerprints(plaintext),
  };
}

/** A signing secret with an identity of its own, so that one row may serve many endpoints. */
export function draftSecret(secretBox: SecretBox, secret: string, nowMs: number): SecretDraft {
  const id = newId("sec", nowMs);
  return { id, sealed: secretBox.seal(secret, sealedIdentity("secret", id)), fingerprints: secretBox.fingerprints(secret) };
}

function invalid(slug: Extract<Refusal, { kind: "invalid" }>["slug"], pointer: string, detail: string): Refusal {
  const errors: readonly FieldError[] = [{ pointer, detail }];
  return { kind: "invalid", slug, errors };
}

function refusalOf(result: EndpointConflict | QuotaExceeded): Refusal {
  if (result.kind === "quota_exceeded")
    return { kind: "forbidden", slug: "quota-exceeded", detail: `the account may have ${result.limit} ${result.quota.replace("_", " ")}` };
  return {
    kind: "conflict",
    slug: "endpoint-differs",
    detail: `endpoint ${result.endpointId} exists with other ${result.fields.join(", ")}; leave them out to use it as it is, or PATCH it`,
    watchId: null,
    endpointId: result.endpointId,
  };
}

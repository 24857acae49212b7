import { maxDeadlineMs } from "../../domain/calls/watch.ts";
import type { EndpointFormat } from "../../domain/webhooks/webhook-content.ts";
import { newId } from "../../domain/ids.ts";
import type { Quotas } from "../../domain/quotas.ts";
import { defaultSourceName } from "../../domain/sources/source-settings.ts";
import { parseCallbackUrl } from "../../domain/webhooks/callback-url.ts";
import type { ParsedCallbackUrl } from "../../domain/webhooks/callback-url.ts";
import type { SecretBox } from "../../ports/secret-box.ts";
import type { Account } from "../../ports/stores/account-store.ts";
import type {
  EndpointDraft,
  RegisterHookResult,
  RegisterWatchResult,
  SettledPlacing,
  WatchDraft,
} from "../../ports/stores/registration-store.ts";
import type { EndpointRequest, PlacedWatchRequest, Refusal, WatchRequest } from "../../ports/use-cases/registration.ts";
import type { AddressGuard } from "../../ports/webhook-sender.ts";
import type { Poller } from "../polling/poller.ts";
import { impliedSource } from "../sources/registrable-source.ts";
import type { RegistrableSource } from "../sources/registrable-source.ts";
import { invalid } from "./registration-outcome.ts";
import { draftSecret, sealHeaders } from "./sealed-drafts.ts";
import { SpareSecrets } from "./spare-secrets.ts";
import type { GeneratedSecret } from "./spare-secrets.ts";

export type WatchDraftsOptions = {
  readonly secretBox: SecretBox;
  readonly guard: AddressGuard;
  readonly allowHttp: boolean;
  readonly sources: ReadonlyMap<string, RegistrableSource>;
  readonly quotas: Quotas;
  readonly watchDeadlineMs: number;
  readonly poller: Pick<Poller, "calls" | "sources">;
};

/** Delay of the next try after a refusal by a saturated source, because some of its calls may have ended by then. */
const saturatedRetryMs = 60_000;

export type CallbackUrl = Extract<ParsedCallbackUrl, { kind: "url" }>;
/** A request with its callback URL parsed and checked once; `callback` is `null` if the request has none. */
export type ParsedRequest<Request extends PlacedWatchRequest = WatchRequest> = {
  readonly request: Request;
  readonly callback: CallbackUrl | Refusal | null;
};
type DraftedEndpoint = { readonly endpoint: EndpointDraft; readonly generated: GeneratedSecret };
/** The parts of a draft that do not depend on the SID; `drafted` is `null` if the request has no callback URL. */
export type DraftedParts = { readonly kind: "parts"; readonly expiresAtMs: number; readonly drafted: DraftedEndpoint | null };
export type DraftedWatch = { readonly watch: WatchDraft; readonly generated: GeneratedSecret | null };
/** Calls that a batch adds, by source. */
export type NewCalls = Map<string, Set<string>>;
/**
 * What the drafts of one account that are committed together share: the calls that they add, and the generated secrets by the URL of
 * their endpoint. One URL of an account is one endpoint, so a secret still serves one endpoint at most.
 */
export type DraftedTogether = { readonly newCalls: NewCalls; readonly secrets: Map<string, GeneratedSecret> };

/** Turns requests into drafts of watches, which the store checks and commits. */
export class WatchDrafts {
  readonly #options: WatchDraftsOptions;
  readonly #spareSecrets: SpareSecrets;

  constructor(options: WatchDraftsOptions) {
    this.#options = options;
    this.#spareSecrets = new SpareSecrets(options.secretBox);
  }

  parseRequest<Request extends PlacedWatchRequest>(request: Request): ParsedRequest<Request> {
    const { callbackUrl } = request;
    return { request, callback: callbackUrl === null ? null : this.parseCallback(callbackUrl, "/callback_url") };
  }

  /** Checks syntax, port and literal address, without the network. */
  parseCallback(text: string, pointer: string): CallbackUrl | Refusal {
    const { allowHttp, guard } = this.#options;
    const parsed = parseCallbackUrl(text, { allowHttp });
    if (parsed.kind === "invalid") return invalid("invalid-request", pointer, parsed.detail);
    const blocked = guard.checkUrl(parsed.parsed);
    return blocked === null ? parsed : invalid("blocked-address", pointer, blocked.reason);
  }

  /** Refuses a name that is new to the process and resolves to a forbidden address, before anything is written. */
  async checkName(account: Account, callback: CallbackUrl | Refusal | null, pointer: string): Promise<Refusal | null> {
    if (callback?.kind !== "url") return null;
    const blocked = await this.#options.guard.checkName(callback.parsed, account.id);
    return blocked === null ? null : invalid("blocked-address", pointer, blocked.reason);
  }

  /** Finds the source of a request; `null` names none. */
  sourceOf(account: Account, sourceName: string | null): { readonly kind: "source"; readonly source: RegistrableSource } | Refusal {
    const { sources } = this.#options;
    const source = sourceName === null ? impliedSource(sources, account) : sources.get(sourceName);
    if (source !== undefined && source !== null && source.mayUse(account)) return { kind: "source", source };
    return invalid(
      "no-source",
      "/source",
      `there is no source ${JSON.stringify(sourceName ?? defaultSourceName)} for this account; GET /v1/sources lists what it may use`,
    );
  }

  draftWatch(
    account: Account,
    parsed: ParsedRequest,
    together: DraftedTogether,
    nowMs: number,
  ): { readonly kind: "draft"; readonly draft: DraftedWatch } | Refusal {
    const { request } = parsed;
    const found = this.sourceOf(account, request.sourceName);
    if (found.kind !== "source") return found;
    const { source } = found;
    const sidFault = source.sidFault(request.callSid);
    if (sidFault !== null) return invalid("invalid-request", "/call_sid", sidFault);
    const saturated = this.#saturatedBy(account, source, request.callSid, together.newCalls);
    if (saturated !== null) return saturated;
    const parts = this.draftParts(parsed, nowMs, together.secrets);
    return parts.kind === "parts" ? { kind: "draft", draft: this.joinParts(account, source, request, parts, null, nowMs) } : parts;
  }

  /** Returns the deadline that a client asks for, or by default. */
  deadlineOf(wantedMs: number | null, nowMs: number): number | Refusal {
    const expiresAtMs = wantedMs ?? nowMs + this.#options.watchDeadlineMs;
    if (expiresAtMs > nowMs && expiresAtMs <= nowMs + maxDeadlineMs) return expiresAtMs;
    return invalid("invalid-request", "/expires_at", "must be in the future and at most 7 days ahead");
  }

  /** Drafts the endpoint and the deadline of a watch. `secrets` are those of the account's drafts that are committed with this one. */
  draftParts(
    { request, callback }: ParsedRequest<PlacedWatchRequest>,
    nowMs: number,
    secrets: DraftedTogether["secrets"] = new Map(),
  ): DraftedParts | Refusal {
    const expiresAtMs = this.deadlineOf(request.expiresAtMs, nowMs);
    if (typeof expiresAtMs !== "number") return expiresAtMs;
    if (callback !== null && callback.kind !== "url") return callback;
    if (callback === null) return { kind: "parts", expiresAtMs, drafted: null };
    return { kind: "parts", expiresAtMs, drafted: this.draftEndpoint(request, callback, "standard", nowMs, secrets) };
  }

  /** Joins the parts and the SID to a draft. `placing` is settled by the watch. */
  joinParts(
    account: Account,
    source: RegistrableSource,
    { callSid, needsHook, filter, metadata, trace }: Pick<WatchRequest, "callSid" | "needsHook" | "filter" | "metadata" | "trace">,
    { expiresAtMs, drafted }: DraftedParts,
    placing: SettledPlacing | null,
    nowMs: number,
  ): DraftedWatch {
    const { poller, quotas } = this.#options;
    const scope = source.scopeOf(account);
    const watch: WatchDraft = {
      id: newId("wch", nowMs),
      accountId: account.id,
      sourceName: source.name,
      scope,
      callSid,
      callId: newId("call", nowMs),
      endpoint: drafted?.endpoint ?? null,
      // The call of a placing rings already, so nothing refuses its watch.
      needsHook: needsHook && placing === null,
      filter,
      metadata,
      trace,
      expiresAtMs,
      nowMs,
      polledAtMs: poller.calls.find(source.name, scope, callSid)?.lastGoodPollAtMs ?? null,
      restartsEndedCall: source.replayable(scope, callSid),
      quotas: placing === null ? quotas : { maxActiveWatches: 0, maxWatchesPerCall: 0, maxEndpoints: 0, maxHooks: 0 },
      by: placing?.by ?? null,
      placing,
    };
    return { watch, generated: drafted?.generated ?? null };
  }

  /** Refuses another call of the account on a source that has no capacity for it; `null` if there is capacity. */
  saturatedByOneMore(account: Account, sourceName: string): Refusal | null {
    return this.#options.poller.sources.isSaturated(sourceName, account.id, 1) ? saturated(sourceName) : null;
  }

  draftEndpoint(
    request: EndpointRequest,
    callback: CallbackUrl,
    defaultFormat: EndpointFormat,
    nowMs: number,
    secrets: DraftedTogether["secrets"] = new Map(),
  ): DraftedEndpoint {
    const { secretBox } = this.#options;
    const id = newId("ep", nowMs);
    const shared = secrets.get(callback.url);
    const generated = shared ?? this.#spareSecrets.take(nowMs);
    if (shared === undefined) secrets.set(callback.url, generated);
    else shared.drafts += 1;
    const endpoint: EndpointDraft = {
      id,
      url: callback.url,
      origin: callback.origin,
      format: request.format,
      request: request.request,
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
  keepUnused(generated: GeneratedSecret | null, result: RegisterWatchResult | RegisterHookResult): void {
    if (generated !== null && result.kind === "created" && !result.showsGeneratedSecret) this.#spareSecrets.keep(generated);
  }

  /** Refuses a call for which the account's part of the source has no capacity. One that is polled already, or that the same batch adds, is no further load. */
  #saturatedBy(account: Account, source: RegistrableSource, callSid: string, newCalls: NewCalls): Refusal | null {
    const { poller } = this.#options;
    const scope = source.scopeOf(account);
    const added = newCalls.get(source.name) ?? new Set();
    const call = `${scope} ${callSid}`;
    if (added.has(call) || poller.calls.find(source.name, scope, callSid) !== undefined) return null;
    if (poller.sources.isSaturated(source.name, account.id, added.size + 1)) return saturated(source.name);
    newCalls.set(source.name, added.add(call));
    return null;
  }
}

function saturated(sourceName: string): Refusal {
  return {
    kind: "later",
    slug: "source-saturated",
    detail: `the account has reached the number of calls on source ${sourceName} that its part of the rate can poll`,
    retryAfterMs: saturatedRetryMs,
  };
}

import type { Actor } from "../../domain/audit.ts";
import { newId } from "../../domain/ids.ts";
import type { Quotas } from "../../domain/quotas.ts";
import type { Account } from "../../ports/stores/account-store.ts";
import type { KeyedRequest, IdempotencyKeyInUse } from "../../ports/use-cases/idempotency.ts";
import type {
  BatchOutcome,
  HookOutcome,
  HookRequest,
  Registration,
  WatchChange,
  WatchChangeOutcome,
  WatchOutcome,
  WatchRequest,
} from "../../ports/use-cases/registration.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Turns } from "../../ports/turns.ts";
import type { Removal } from "../../ports/commit-listener.ts";
import type { RegisterWatchResult, RegistrationStore, WatchPatch } from "../../ports/stores/registration-store.ts";
import type { Poller } from "../polling/poller.ts";
import type { Idempotency } from "../requests/idempotency.ts";
import { hookOutcomeOf, onlyOf, resultAt, watchOutcomeOf } from "./registration-outcome.ts";
import type { DraftedTogether, ParsedRequest, WatchDrafts } from "./watch-drafts.ts";
import { publishCreation } from "./watch-publication.ts";
import type { WatchPublication } from "./watch-publication.ts";

export type RegistrarOptions = WatchPublication & {
  readonly store: Pick<RegistrationStore, "patchWatch" | "removeWatch" | "removeHook">;
  readonly idempotency: Pick<Idempotency, "run">;
  readonly drafts: WatchDrafts;
  readonly clock: Clock;
  readonly quotas: Quotas;
  readonly turns: Turns;
  readonly poller: Pick<Poller, "watch" | "rewatch">;
};

/**
 * Turns requests into drafts, which the store checks and commits. Passes them to the poller and the listeners only after
 * the commit. A crash before the commit leaves nothing; after it, the next start loads the watch from the store.
 */
export class Registrar implements Registration {
  readonly #options: RegistrarOptions;
  readonly #drafts: WatchDrafts;

  constructor(options: RegistrarOptions) {
    this.#options = options;
    this.#drafts = options.drafts;
  }

  async registerWatch(
    account: Account,
    request: WatchRequest,
    keyed: KeyedRequest<WatchOutcome> | null,
    by: Actor,
  ): Promise<WatchOutcome | IdempotencyKeyInUse> {
    const parsed = this.#drafts.parseRequest(request);
    const refusal = await this.#drafts.checkName(account, parsed.callback, "/callback_url");
    return refusal ?? this.#register(account, [parsed], { keyed, by }, onlyOf);
  }

  async registerBatch(
    account: Account,
    requests: readonly WatchRequest[],
    keyed: KeyedRequest<BatchOutcome> | null,
    by: Actor,
  ): Promise<BatchOutcome | IdempotencyKeyInUse> {
    const parsed = await this.#options.turns.map(account.id, requests, (request) => this.#drafts.parseRequest(request));
    return this.#register(account, parsed, { keyed, by }, (outcomes) => ({ kind: "batch", outcomes }));
  }

  /** Drafts every request, commits the drafts together and acts on the watches that were created. */
  async #register<Outcome>(
    account: Account,
    requests: readonly ParsedRequest[],
    { keyed, by }: { readonly keyed: KeyedRequest<Outcome> | null; readonly by: Actor },
    answer: (outcomes: readonly WatchOutcome[]) => Outcome,
  ): Promise<Outcome | IdempotencyKeyInUse> {
    const nowMs = this.#options.clock.nowMs();
    const together: DraftedTogether = { newCalls: new Map(), secrets: new Map() };
    const { turns } = this.#options;
    const drafted = await turns.map(account.id, requests, (request) => this.#drafts.draftWatch(account, request, together, nowMs));
    const drafts = drafted.flatMap((item) => (item.kind === "draft" ? [item.draft] : []));
    const outcomeOf = (results: readonly RegisterWatchResult[]): Outcome => {
      const outcomes = drafts.map((draft, index) => watchOutcomeOf(draft.generated?.text ?? null, resultAt(results, index))).values();
      return answer(drafted.map((item) => (item.kind === "draft" ? (outcomes.next().value as WatchOutcome) : item)));
    };
    if (drafts.length === 0 && keyed === null) return outcomeOf([]);
    const run = await this.#options.idempotency.run(
      keyed,
      (store) => store.registerWatches,
      drafts.map(({ watch }) => ({ ...watch, by })),
      outcomeOf,
      (results) => results.flatMap((result) => ("view" in result ? [result.view.watch.id] : [])),
    );
    if (run.kind === "key_taken") return run;
    await turns.map(account.id, drafts, ({ watch, generated }, index) => {
      const result = resultAt(run.result, index);
      if (keyed === null) this.#drafts.keepUnused(generated, result);
      publishCreation(this.#options, watch, result);
    });
    return run.outcome;
  }

  async removeWatch(account: Account, watchId: string, purge: boolean, by: Actor): Promise<boolean> {
    const { store, clock, poller } = this.#options;
    const removed = await store.removeWatch({ accountId: account.id, watchId, purge, by, nowMs: clock.nowMs() });
    if (removed.kind === "unknown") return false;
    poller.rewatch(removed.callId, removed.call);
    this.#publishRemoval({ watchId, deliveryIds: [], notices: removed.notices });
    return true;
  }

  async changeWatch(account: Account, watchId: string, change: WatchChange): Promise<WatchChangeOutcome> {
    const { store, clock, poller } = this.#options;
    const { expiresAtMs: wanted, ...others } = change;
    const deadline = wanted === undefined ? null : this.#drafts.deadlineOf(wanted, clock.nowMs());
    if (deadline !== null && typeof deadline !== "number") return deadline;
    const patch: WatchPatch = deadline === null ? others : { ...others, expiresAtMs: deadline };
    const patched = await store.patchWatch({ accountId: account.id, watchId, patch });
    if (patched.kind !== "patched") return patched;
    if (patched.call !== null) poller.rewatch(patched.callId, patched.call);
    return { kind: "changed", view: patched.view };
  }

  async registerHook(
    account: Account,
    request: HookRequest,
    keyed: KeyedRequest<HookOutcome> | null,
    by: Actor,
  ): Promise<HookOutcome | IdempotencyKeyInUse> {
    const { idempotency, clock, quotas } = this.#options;
    const pointer = `/${request.urlKey}`;
    const callback = this.#drafts.parseCallback(request.url, pointer);
    if (callback.kind !== "url") return callback;
    const refusal = await this.#drafts.checkName(account, callback, pointer);
    if (refusal !== null) return refusal;
    const nowMs = clock.nowMs();
    const { endpoint, generated } = this.#drafts.draftEndpoint(request, callback, "flat", nowMs);
    const draft = { id: newId("hk", nowMs), accountId: account.id, endpoint, filter: request.filter, by, nowMs, quotas };
    const run = await idempotency.run(
      keyed,
      (store) => store.registerHook,
      draft,
      (result) => hookOutcomeOf(generated.text, result),
    );
    if (run.kind === "key_taken") return run;
    if (keyed === null) this.#drafts.keepUnused(generated, run.result);
    const view = run.result.kind === "created" || run.result.kind === "existing" ? run.result.view : null;
    if (view !== null && view.endpoint.state !== "disabled") this.#options.endpointListener.reopenEndpoint(view.endpoint.id);
    return run.outcome;
  }

  async removeHook(account: Account, hookId: string, by: Actor): Promise<void> {
    const { store, clock } = this.#options;
    const { canceledLeased } = await store.removeHook({ accountId: account.id, hookId, by, nowMs: clock.nowMs() });
    this.#publishRemoval({ watchId: null, deliveryIds: canceledLeased, notices: [] });
  }

  #publishRemoval(removal: Removal): void {
    for (const listener of this.#options.listeners) listener.removed(removal);
  }
}

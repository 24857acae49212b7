import { decodeId } from "../../../domain/ids.ts";
import { checkQuota } from "../../../domain/quotas.ts";
import type { QuotaExceeded } from "../../../domain/quotas.ts";
import { metadataHashes } from "../../../domain/calls/watch-metadata.ts";
import { decideRepeat, isStatusCurrent, newWatch } from "../../../domain/calls/registration.ts";
import type { Watch } from "../../../domain/calls/watch.ts";
import { withoutWishes } from "../../../domain/deliveries/endpoint-registration.ts";
import { filterToRow } from "../../../domain/events/event-filter.ts";
import type { Notice, WatchedCall } from "../../../ports/stores/call-store.ts";
import type { EndpointSummary, WatchView } from "../../../ports/stores/read-store.ts";
import type { EndpointDraft, RegisterWatchResult, SettledPlacing, WatchDraft } from "../../../ports/stores/registration-store.ts";
import type { SendJob } from "../../../ports/stores/send-job.ts";
import { id, keyOrNull } from "../../sql/rows.ts";
import { recordAudit } from "../../sql/audit/audit.ts";
import { endpointEnabled } from "../../sql/audit/entries.ts";
import { canSettle, settlePlacing } from "../../sql/placings/placings.ts";
import { watchViewOf } from "../../sql/view-rows.ts";
import type { Transaction } from "../connection/transaction.ts";
import { TransitionEvents } from "../calls/transition-events.ts";
import type { TransitionContext } from "../calls/transition-events.ts";
import { watchSelect } from "../reading/selects.ts";
import { LockedCalls } from "./locked-calls.ts";
import type { LockedCall } from "./locked-calls.ts";
import { enableIfDisabled } from "./endpoints.ts";
import { LockedEndpoints, lockAccounts } from "./locked-endpoints.ts";
import { countEnding, watchedCallWith, WatchesOnCalls } from "./watches-on-calls.ts";
import type { NamedEndpoint } from "./locked-endpoints.ts";

type NewWatch = {
  readonly watch: Watch;
  readonly call: LockedCall;
  readonly endpoint: EndpointSummary | null;
  readonly showsGeneratedSecret: boolean;
  readonly enabledEndpoint: boolean;
  readonly context: TransitionContext | null;
  readonly notices: readonly Notice[];
};

/** The outcome of a draft: refused at once, or completed after everything is written. */
type DraftOutcome =
  | { readonly kind: "refused"; readonly result: RegisterWatchResult }
  | { readonly kind: "existing"; readonly watchId: string }
  | ({ readonly kind: "created" } & NewWatch);

/**
 * Registers drafts independently and in order, in one transaction; a refused draft writes nothing. All rows that the drafts
 * refer to are locked and read first, the drafts are decided in memory, and the results are written together. The accounts
 * are locked: if two instances register the same watch at the same time, the second one finds it.
 */
export async function registerWatches(
  tx: Transaction,
  token: number,
  drafts: readonly WatchDraft[],
): Promise<readonly RegisterWatchResult[]> {
  const [draft] = drafts;
  if (draft?.placing !== null && draft?.placing !== undefined && drafts.length === 1)
    return settleWithWatch(tx, token, draft, draft.placing);
  return registerAll(tx, token, drafts);
}

/** Registers the watch of a placing, and settles the placing by it. */
async function settleWithWatch(
  tx: Transaction,
  token: number,
  draft: WatchDraft,
  placing: SettledPlacing,
): Promise<readonly RegisterWatchResult[]> {
  if (!(await canSettle(tx, placing))) return [{ kind: "placing_settled" }];
  const results = await registerAll(tx, token, [draft]);
  for (const result of results) if ("view" in result) await settlePlacing(tx, placing, draft, result.view.watch.id);
  return results;
}

async function registerAll(tx: Transaction, token: number, drafts: readonly WatchDraft[]): Promise<readonly RegisterWatchResult[]> {
  const accountKeys = [...new Set(drafts.map(({ accountId }) => decodeId(accountId)))];
  const counts = drafts.some(({ quotas }) => quotas.maxActiveWatches > 0 || quotas.maxEndpoints > 0);
  const { accounts, usage } = await lockAccounts(tx, accountKeys, counts);
  const calls = await LockedCalls.load(tx, token, drafts);
  const named = drafts.flatMap(({ accountId, endpoint }) => (endpoint === null ? [] : [{ accountId, draft: endpoint }]));
  const [transitionEvents, endpoints, onCalls, ending, withHooks] = await Promise.all([
    TransitionEvents.loadHooks(tx, calls.knownKeys, accountKeys),
    LockedEndpoints.load(tx, accounts, named, usage),
    WatchesOnCalls.load(tx, calls, drafts),
    countEnding(tx, drafts, usage),
    drafts.some(({ needsHook }) => needsHook)
      ? tx.all("select distinct account_id from hooks where account_id = any($1) and disabled_at is null", accountKeys)
      : [],
  ]);
  const batch = new RegistrationBatch(
    calls,
    transitionEvents,
    endpoints,
    onCalls,
    new Map([...usage].map(([accountId, { activeWatches }]) => [accountId, activeWatches - (ending.get(accountId) ?? 0)])),
    new Set(withHooks.map((row) => id(row, "acc", "account_id"))),
  );
  const outcomes = drafts.map((draft) => batch.decide(draft));
  const jobs = await batch.write(tx, token);
  const views = await readViews(tx, outcomes);
  const watched = new Map(calls.all.map((call) => [call.callId, watchedCallWith(call, onCalls.registeredOn(call.callId))]));
  return outcomes.map((outcome) => toResult(outcome, watched, jobs, views));
}

class RegistrationBatch {
  readonly #calls: LockedCalls;
  readonly #transitionEvents: TransitionEvents;
  readonly #endpoints: LockedEndpoints;
  readonly #onCalls: WatchesOnCalls;
  readonly #activeWatches: Map<string, number>;
  readonly #withHooks: ReadonlySet<string>;
  readonly #created: Watch[] = [];
  /** Disabled endpoints that a draft names, with the first draft that does. */
  readonly #enabled = new Map<string, WatchDraft>();

  constructor(
    calls: LockedCalls,
    transitionEvents: TransitionEvents,
    endpoints: LockedEndpoints,
    onCalls: WatchesOnCalls,
    activeWatches: Map<string, number>,
    withHooks: ReadonlySet<string>,
  ) {
    this.#calls = calls;
    this.#transitionEvents = transitionEvents;
    this.#endpoints = endpoints;
    this.#onCalls = onCalls;
    this.#activeWatches = activeWatches;
    this.#withHooks = withHooks;
  }

  decide(draft: WatchDraft): DraftOutcome {
    const { accountId, nowMs } = draft;
    if (draft.needsHook && !this.#withHooks.has(accountId)) return refuse({ kind: "callback_required" });
    const existingCall = this.#calls.find(draft);
    const repeat = decideRepeat(existingCall === undefined ? null : this.#calls.findNewestWatch(existingCall, draft), draft, nowMs);
    if (repeat.kind === "differs") return refuse({ kind: "watch_differs", watchId: repeat.watchId, fields: repeat.fields });
    const exceeded = repeat.kind === "new" ? this.#findExceeded(draft, existingCall) : null;
    if (exceeded !== null) return refuse(exceeded);
    const named = draft.endpoint === null ? null : this.#nameEndpoint(draft, draft.endpoint);
    if (named !== null && named.kind !== "endpoint") return refuse(named);
    if (repeat.kind === "existing") return { kind: "existing", watchId: repeat.watchId };
    if (named?.summary.state === "disabled" && !this.#enabled.has(named.summary.id)) this.#enabled.set(named.summary.id, draft);
    return {
      kind: "created",
      ...this.#create(draft, existingCall, named?.summary ?? null),
      showsGeneratedSecret: named?.showsGeneratedSecret ?? false,
      enabledEndpoint: named?.summary.state === "disabled",
    };
  }

  /** Returns the quota that one more watch exceeds, else `null`. Watches that a running mark ends do not count. */
  #findExceeded({ accountId, quotas }: WatchDraft, call: LockedCall | undefined): QuotaExceeded | null {
    const onCall = call === undefined ? 0 : this.#onCalls.activeOf(call.callId, accountId);
    return (
      checkQuota(quotas, "maxWatchesPerCall", () => onCall) ??
      checkQuota(quotas, "maxActiveWatches", () => this.#activeWatches.get(accountId) ?? 0)
    );
  }

  /** Returns the endpoint of a draft. The watch of a call that was placed takes an existing endpoint as it is. */
  #nameEndpoint({ accountId, placing, quotas, nowMs }: WatchDraft, endpoint: EndpointDraft): NamedEndpoint {
    const named = this.#endpoints.name({ accountId, draft: endpoint }, quotas, nowMs);
    if (named.kind !== "endpoint_differs" || placing === null) return named;
    return this.#endpoints.name({ accountId, draft: withoutWishes(endpoint) }, quotas, nowMs);
  }

  #create(
    draft: WatchDraft,
    existingCall: LockedCall | undefined,
    endpoint: EndpointSummary | null,
  ): Omit<NewWatch, "showsGeneratedSecret" | "enabledEndpoint"> {
    const { accountId, nowMs } = draft;
    const call = existingCall ?? this.#calls.make(draft);
    if (draft.restartsEndedCall && existingCall !== undefined && !this.#isWatched(call)) this.#calls.restore(call);
    const watch = newWatch(draft, call.callId, endpoint === null ? null : { id: endpoint.id, url: draft.endpoint?.url ?? "" });
    this.#created.push(watch);
    this.#calls.addWatch(watch);
    let context: TransitionContext | null = null;
    let notices: readonly Notice[] = [];
    let active: Watch | null = watch;
    if (isStatusCurrent(call.status, draft.polledAtMs, nowMs)) {
      context = { callId: call.callId, transition: call.transition, nowMs, recordedAtMs: nowMs };
      const isNotified = !this.#onCalls.hasOlder(call.callId, accountId);
      ({ notices, watch: active } = this.#transitionEvents.planFirst(context, call.status, watch, isNotified));
    }
    if (active !== null) {
      this.#activeWatches.set(accountId, (this.#activeWatches.get(accountId) ?? 0) + 1);
      this.#onCalls.add(active);
    }
    return { watch, call, endpoint, context, notices };
  }

  #isWatched({ callId, watched }: Pick<LockedCall, "callId" | "watched">): boolean {
    return watched !== null || this.#onCalls.registeredOn(callId).length > 0;
  }

  async write(tx: Transaction, token: number): Promise<ReadonlyMap<TransitionContext, readonly SendJob[]>> {
    const byId = new Map(this.#calls.all.map((call) => [call.callId, call]));
    const isWatched = (callId: string) => this.#isWatched(byId.get(callId) ?? { callId, watched: null });
    const unnotified = (callId: string) => {
      const waiting = this.#onCalls.registeredOn(callId).filter(({ sequence }) => sequence === 0);
      return byId.get(callId)?.status.status === null || waiting.length === 0 ? null : Math.min(...waiting.map(({ id }) => decodeId(id)));
    };
    const withNewWatch = new Set(this.#created.map(({ callId }) => callId));
    for (const [endpointId, { nowMs }] of this.#enabled) await enableIfDisabled(tx, decodeId(endpointId), nowMs);
    const [, , , jobs] = await Promise.all([
      this.#endpoints.write(tx),
      this.#calls.write(tx, token, { isWatched, withNewWatch, unnotified }),
      insertWatches(tx, this.#created, (callId) => byId.get(callId)?.mark?.version ?? null),
      this.#transitionEvents.write(tx, token),
    ]);
    // The counters of the audit are locked last, in the order of their accounts.
    const enabled = [...this.#enabled].toSorted(([, a], [, b]) => decodeId(a.accountId) - decodeId(b.accountId));
    for (const [endpointId, draft] of enabled) await recordAudit(tx, draft.by, endpointEnabled(draft, endpointId));
    return jobs;
  }
}

function refuse(result: RegisterWatchResult): DraftOutcome {
  return { kind: "refused", result };
}

async function insertWatches(tx: Transaction, watches: readonly Watch[], sparedBy: (callId: string) => number | null): Promise<void> {
  if (watches.length === 0) return;
  await tx.run(
    `insert into watches (id, account_id, call_id, endpoint_id, events, metadata, trace, status, created_at, expires_at, spared_by, retirements)
     select u.id, u.account_id, u.call_id, u.endpoint_id, u.events, u.metadata, u.trace, 'active', u.created_at, u.expires_at, u.spared_by,
       coalesce((select p.retirements from endpoints p where p.id = u.endpoint_id), 0)
     from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::bigint[], $8::bigint[], $9::integer[], $10::text[])
       as u(id, account_id, call_id, endpoint_id, events, metadata, created_at, expires_at, spared_by, trace)`,
    watches.map((watch) => decodeId(watch.id)),
    watches.map(({ accountId }) => decodeId(accountId)),
    watches.map(({ callId }) => decodeId(callId)),
    watches.map(({ endpointId }) => keyOrNull(endpointId)),
    watches.map(({ filter }) => filterToRow(filter)),
    watches.map(({ metadata }) => JSON.stringify(metadata)),
    watches.map(({ createdAtMs }) => createdAtMs),
    watches.map(({ expiresAtMs }) => expiresAtMs),
    watches.map(({ callId }) => sparedBy(callId)),
    watches.map(({ trace }) => trace),
  );
  const pairs = watches.flatMap((watch) => metadataHashes(watch.metadata).map((hash) => ({ watch, hash })));
  if (pairs.length === 0) return;
  await tx.run(
    "insert into watch_metadata (account_id, hash, watch_id) select * from unnest($1::bigint[], $2::bigint[], $3::bigint[])",
    pairs.map(({ watch }) => decodeId(watch.accountId)),
    pairs.map(({ hash }) => hash),
    pairs.map(({ watch }) => decodeId(watch.id)),
  );
}

/**
 * Reads the views that are not known from memory. The first watch of a new call, on an endpoint that is not disabled,
 * equals its draft and is not read.
 */
async function readViews(tx: Transaction, outcomes: readonly DraftOutcome[]): Promise<ReadonlyMap<string, WatchView>> {
  const ids = outcomes.flatMap((outcome) =>
    outcome.kind === "existing" ? [outcome.watchId] : outcome.kind === "created" && !isAsDrafted(outcome) ? [outcome.watch.id] : [],
  );
  if (ids.length === 0) return new Map();
  const rows = await tx.all(`${watchSelect} where w.id = any($1)`, [...new Set(ids)].map(decodeId));
  return new Map(rows.map((row) => [id(row, "wch", "id"), watchViewOf(row)]));
}

function isAsDrafted({ call, endpoint }: NewWatch): boolean {
  return call.isNew && endpoint?.state !== "disabled";
}

function toResult(
  outcome: DraftOutcome,
  watched: ReadonlyMap<string, WatchedCall | null>,
  jobs: ReadonlyMap<TransitionContext, readonly SendJob[]>,
  views: ReadonlyMap<string, WatchView>,
): RegisterWatchResult {
  if (outcome.kind === "refused") return outcome.result;
  const viewOf = (watchId: string) => {
    const view = views.get(watchId);
    if (view === undefined) throw new Error(`no watch ${watchId}`);
    return view;
  };
  if (outcome.kind === "existing") return { kind: "existing", view: viewOf(outcome.watchId) };
  const { watch, call, endpoint, showsGeneratedSecret, enabledEndpoint, context, notices } = outcome;
  return {
    kind: "created",
    view: isAsDrafted(outcome) ? { watch, call: call.status, endpoint, pendingDeliveries: 0 } : viewOf(watch.id),
    showsGeneratedSecret,
    enabledEndpoint,
    call: call.isPolledByPeer ? null : (watched.get(call.callId) ?? null),
    notices,
    jobs: context === null ? [] : (jobs.get(context) ?? []),
  };
}

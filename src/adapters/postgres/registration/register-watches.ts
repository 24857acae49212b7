import { decodeId } from "../../../domain/ids.ts";
import { checkQuota } from "../../../domain/quotas.ts";
import { decideRepeat, isStatusCurrent, newWatch } from "../../../domain/calls/registration.ts";
import { planInitialEvents } from "../../../domain/calls/transition.ts";
import type { Watch } from "../../../domain/calls/watch.ts";
import { filterToRow } from "../../../domain/events/event-filter.ts";
import type { Notice } from "../../../ports/stores/call-store.ts";
import type { EndpointSummary, WatchView } from "../../../ports/stores/read-store.ts";
import type { RegisterWatchResult, WatchDraft } from "../../../ports/stores/registration-store.ts";
import type { SendJob } from "../../../ports/stores/send-job.ts";
import { gatherWatchedCall, id, keyOrNull } from "../../sql/rows.ts";
import { watchViewOf } from "../../sql/view-rows.ts";
import type { Transaction } from "../connection/transaction.ts";
import { TransitionEvents } from "../calls/transition-events.ts";
import type { TransitionContext } from "../calls/transition-events.ts";
import { watchSelect } from "../reading/selects.ts";
import { LockedCalls } from "./locked-calls.ts";
import type { LockedCall } from "./locked-calls.ts";
import { enableIfDisabled } from "./endpoints.ts";
import { LockedEndpoints, lockAccounts } from "./locked-endpoints.ts";
import type { Usage } from "./locked-endpoints.ts";

type NewWatch = {
  readonly watch: Watch;
  readonly call: LockedCall;
  readonly endpoint: EndpointSummary | null;
  readonly showsGeneratedSecret: boolean;
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
  const accountKeys = [...new Set(drafts.map(({ accountId }) => decodeId(accountId)))];
  const counts = drafts.some(({ quotas }) => quotas.maxActiveWatches > 0 || quotas.maxEndpoints > 0);
  const { accounts, usage } = await lockAccounts(tx, accountKeys, counts);
  const calls = await LockedCalls.load(tx, token, drafts);
  const named = drafts.flatMap(({ accountId, endpoint }) => (endpoint === null ? [] : [{ accountId, draft: endpoint }]));
  const [transitionEvents, endpoints, withHooks] = await Promise.all([
    TransitionEvents.load(tx, calls.knownKeys, accountKeys),
    LockedEndpoints.load(tx, accounts, named, usage),
    drafts.some(({ endpoint }) => endpoint === null)
      ? tx.all("select distinct account_id from hooks where account_id = any($1) and disabled_at is null", accountKeys)
      : [],
  ]);
  const batch = new RegistrationBatch(
    calls,
    transitionEvents,
    endpoints,
    usage,
    new Set(withHooks.map((row) => id(row, "acc", "account_id"))),
  );
  const outcomes = drafts.map((draft) => batch.decide(draft));
  const jobs = await batch.write(tx, token);
  const views = await readViews(tx, outcomes);
  return outcomes.map((outcome) => toResult(outcome, transitionEvents, jobs, views));
}

class RegistrationBatch {
  readonly #calls: LockedCalls;
  readonly #transitionEvents: TransitionEvents;
  readonly #endpoints: LockedEndpoints;
  readonly #activeWatches: Map<string, number>;
  readonly #withHooks: ReadonlySet<string>;
  readonly #created: Watch[] = [];
  /** Disabled endpoints that a draft names, with the time of the registration (epoch ms). */
  readonly #enabled = new Map<string, number>();

  constructor(
    calls: LockedCalls,
    transitionEvents: TransitionEvents,
    endpoints: LockedEndpoints,
    usage: ReadonlyMap<string, Usage>,
    withHooks: ReadonlySet<string>,
  ) {
    this.#calls = calls;
    this.#transitionEvents = transitionEvents;
    this.#endpoints = endpoints;
    this.#activeWatches = new Map([...usage].map(([accountId, { activeWatches }]) => [accountId, activeWatches]));
    this.#withHooks = withHooks;
  }

  decide(draft: WatchDraft): DraftOutcome {
    const { accountId, nowMs, quotas } = draft;
    if (draft.endpoint === null && !this.#withHooks.has(accountId)) return refuse({ kind: "callback_required" });
    const existingCall = this.#calls.find(draft);
    const repeat = decideRepeat(existingCall === undefined ? null : this.#calls.findNewestWatch(existingCall, draft), draft, nowMs);
    if (repeat.kind === "differs") return refuse({ kind: "watch_differs", watchId: repeat.watchId, fields: repeat.fields });
    const active = this.#activeWatches.get(accountId) ?? 0;
    const exceeded = repeat.kind === "new" ? checkQuota(quotas, "maxActiveWatches", () => active) : null;
    if (exceeded !== null) return refuse(exceeded);
    const named = draft.endpoint === null ? null : this.#endpoints.name({ accountId, draft: draft.endpoint }, quotas, nowMs);
    if (named !== null && named.kind !== "endpoint") return refuse(named);
    if (repeat.kind === "existing") return { kind: "existing", watchId: repeat.watchId };
    if (named?.summary.state === "disabled") this.#enabled.set(named.summary.id, nowMs);
    return {
      kind: "created",
      ...this.#create(draft, existingCall, named?.summary ?? null),
      showsGeneratedSecret: named?.showsGeneratedSecret ?? false,
    };
  }

  #create(
    draft: WatchDraft,
    existingCall: LockedCall | undefined,
    endpoint: EndpointSummary | null,
  ): Omit<NewWatch, "showsGeneratedSecret"> {
    const { accountId, nowMs } = draft;
    const call = existingCall ?? this.#calls.make(draft);
    if (draft.restartsEndedCall && existingCall !== undefined && this.#transitionEvents.watchesOf(call.callId).length === 0)
      this.#calls.restore(call);
    const watch = newWatch(draft, call.callId, endpoint === null ? null : { id: endpoint.id, url: draft.endpoint?.url ?? "" });
    this.#created.push(watch);
    this.#calls.addWatch(watch);
    this.#transitionEvents.add(watch);
    let context: TransitionContext | null = null;
    let notices: readonly Notice[] = [];
    if (isStatusCurrent(call.status, draft.polledAtMs, nowMs)) {
      context = { callId: call.callId, transition: call.transition, nowMs };
      notices = this.#transitionEvents.planEvents(context, call.status, planInitialEvents);
    }
    if (this.#isActive(watch)) this.#activeWatches.set(accountId, (this.#activeWatches.get(accountId) ?? 0) + 1);
    return { watch, call, endpoint, context, notices };
  }

  #isActive({ callId, id }: Watch): boolean {
    return this.#transitionEvents.watchesOf(callId).some((watch) => watch.id === id);
  }

  async write(tx: Transaction, token: number): Promise<ReadonlyMap<TransitionContext, readonly SendJob[]>> {
    const isWatched = (callId: string) => this.#transitionEvents.watchesOf(callId).length > 0;
    const withNewWatch = new Set(this.#created.map(({ callId }) => callId));
    for (const [endpointId, nowMs] of this.#enabled) await enableIfDisabled(tx, decodeId(endpointId), nowMs);
    const [, , , jobs] = await Promise.all([
      this.#endpoints.write(tx),
      this.#calls.write(tx, token, isWatched, withNewWatch),
      insertWatches(tx, this.#created),
      this.#transitionEvents.write(tx, token),
    ]);
    return jobs;
  }
}

function refuse(result: RegisterWatchResult): DraftOutcome {
  return { kind: "refused", result };
}

async function insertWatches(tx: Transaction, watches: readonly Watch[]): Promise<void> {
  if (watches.length === 0) return;
  await tx.run(
    `insert into watches (id, account_id, call_id, endpoint_id, events, metadata, status, created_at, expires_at)
     select u.id, u.account_id, u.call_id, u.endpoint_id, u.events, u.metadata, 'active', u.created_at, u.expires_at
     from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::bigint[], $8::bigint[])
       as u(id, account_id, call_id, endpoint_id, events, metadata, created_at, expires_at)`,
    watches.map((watch) => decodeId(watch.id)),
    watches.map(({ accountId }) => decodeId(accountId)),
    watches.map(({ callId }) => decodeId(callId)),
    watches.map(({ endpointId }) => keyOrNull(endpointId)),
    watches.map(({ filter }) => filterToRow(filter)),
    watches.map(({ metadata }) => JSON.stringify(metadata)),
    watches.map(({ createdAtMs }) => createdAtMs),
    watches.map(({ expiresAtMs }) => expiresAtMs),
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
  transitionEvents: TransitionEvents,
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
  const { watch, call, endpoint, showsGeneratedSecret, context, notices } = outcome;
  return {
    kind: "created",
    view: isAsDrafted(outcome) ? { watch, call: call.status, endpoint, pendingDeliveries: 0 } : viewOf(watch.id),
    showsGeneratedSecret,
    call: call.isPolledByPeer ? null : gatherWatchedCall(call, transitionEvents.watchesOf(call.callId)),
    notices,
    jobs: context === null ? [] : (jobs.get(context) ?? []),
  };
}

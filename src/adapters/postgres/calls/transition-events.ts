import { decodeId, encodeId } from "../../../domain/ids.ts";
import { planInitialEvents, watchesAfter } from "../../../domain/calls/transition.ts";
import type { PlannedEvent, SubscriberHook, TransitionInput } from "../../../domain/calls/transition.ts";
import type { Watch } from "../../../domain/calls/watch.ts";
import type { Notice } from "../../../ports/stores/call-store.ts";
import type { SendJob } from "../../../ports/stores/send-job.ts";
import type { Row } from "../../sql/rows.ts";
import { filterOf, id, integer } from "../../sql/rows.ts";
import { isOfDisabled } from "../accounts/disabled-accounts.ts";
import { watchWithDeadline } from "./crowded-calls.ts";
import type { Transaction } from "../connection/transaction.ts";
import { isGone } from "../marks/set-mark.ts";
import { unindexedKey } from "../reading/page.ts";
import { insertEvents } from "../deliveries/event-rows.ts";
import type { NewEvent } from "../deliveries/event-rows.ts";

/** `recordedAtMs` is later than `nowMs` in a portion; the facts of its events are those of `nowMs`. */
export type TransitionContext = {
  readonly callId: string;
  readonly transition: number;
  readonly nowMs: number;
  readonly recordedAtMs: number;
};
type Planned = { readonly plan: PlannedEvent; readonly context: TransitionContext };
/** Facts about the watches of a call that are not at hand. */
export type Others = {
  /** Accounts whose hooks were decided with a watch that is not at hand. */
  readonly decided: ReadonlySet<string>;
  /** Accounts with a watch that is not at hand and stays active. */
  readonly watching: ReadonlySet<string>;
};

/**
 * Events of calls for their watches and hooks, planned in memory for a whole batch and written together. The caller has
 * locked the calls. The watches at hand are locked, and so are the hooks of their accounts, so that no registration,
 * removal or other transition changes them between the read and the write.
 */
export class TransitionEvents {
  readonly #watches: Map<string, readonly Watch[]>;
  readonly #hooks: Map<string, SubscriberHook[]>;
  /** Calls with as many active watches as were asked for, so that there may be more. */
  readonly #full: ReadonlySet<string>;
  readonly #planned: Planned[] = [];

  private constructor(watches: Map<string, readonly Watch[]>, hooks: Map<string, SubscriberHook[]>, full: ReadonlySet<string> = new Set()) {
    this.#watches = watches;
    this.#hooks = hooks;
    this.#full = full;
  }

  /** Has no watches at hand; the caller takes them. */
  static empty(): TransitionEvents {
    return new TransitionEvents(new Map(), new Map());
  }

  /** Reads at most `limit` active watches of each call, the oldest ones. */
  static async load(tx: Transaction, callKeys: readonly number[], limit: number): Promise<TransitionEvents> {
    const [watches, hooks] = await Promise.all([
      tx.all(
        `select w.*, c.source_name, c.call_sid, null as callback_url, (${isGone("w")}) as gone, ${isOfDisabled("w.account_id")} as waits from watches w join calls c on c.id = w.call_id
         where w.id = any(array(${oldest("id")})) and (w.status || '') = 'active' order by w.id for no key update of w`,
        callKeys,
        limit,
      ),
      tx.all(hooksOf(`array(${oldest("account_id")})`), callKeys, limit),
    ]);
    const byCall = Map.groupBy(watches, (row) => id(row, "call", "call_id"));
    const full = [...byCall].filter(([, rows]) => rows.length === limit).map(([callId]) => callId);
    const shown = Map.groupBy(watches.filter((row) => row["gone"] !== true).map(watchWithDeadline), ({ callId }) => callId);
    return new TransitionEvents(shown, await withProgress(tx, callKeys, hooks), new Set(full));
  }

  /** Reads the hooks of accounts that register watches. No watch of the calls is at hand. */
  static async loadHooks(tx: Transaction, callKeys: readonly number[], accountKeys: readonly number[]): Promise<TransitionEvents> {
    if (callKeys.length === 0) return TransitionEvents.empty();
    return new TransitionEvents(new Map(), await withProgress(tx, callKeys, await tx.all(hooksOf("$1::bigint[]"), accountKeys)));
  }

  /** Replaces the watches at hand of a call by these locked ones, and reads the hooks of their accounts. */
  async take(tx: Transaction, callId: string, watches: readonly Watch[]): Promise<void> {
    this.#watches.set(callId, watches);
    const accountKeys = [...new Set(watches.map(({ accountId }) => decodeId(accountId)))];
    const hooks = accountKeys.length === 0 ? [] : await tx.all(hooksOf("$1::bigint[]"), accountKeys);
    this.#hooks.set(callId, [...((await withProgress(tx, [decodeId(callId)], hooks)).get(callId) ?? [])]);
  }

  /** Whether a call may have more active watches than are at hand. */
  isFull(callId: string): boolean {
    return this.#full.has(callId);
  }

  /** Returns the accounts of a call that have a hook at hand. */
  accountsWithHooks(callId: string): readonly string[] {
    return [...new Set((this.#hooks.get(callId) ?? []).map(({ accountId }) => accountId))];
  }

  /** Returns the active watches of a call after the planned events, oldest first. */
  watchesOf(callId: string): readonly Watch[] {
    return this.#watches.get(callId) ?? [];
  }

  /** Returns those of them for which the call is polled: a watch without a deadline is one of a disabled account. */
  polledFor(callId: string): readonly Watch[] {
    return this.watchesOf(callId).filter(({ expiresAtMs }) => expiresAtMs !== Infinity);
  }

  /** Plans events on the state that earlier plans left. */
  planEvents(
    context: TransitionContext,
    call: TransitionInput["call"],
    decide: (input: TransitionInput) => readonly PlannedEvent[],
    others: Others | null = null,
  ): readonly Notice[] {
    const { callId, transition, nowMs } = context;
    const watches = this.watchesOf(callId);
    const accounts = new Set(watches.map((watch) => watch.accountId));
    const hooks = (this.#hooks.get(callId) ?? []).filter(
      ({ accountId }) => accounts.has(accountId) && others?.decided.has(accountId) !== true,
    );
    const watching = others === null ? {} : { watching: others.watching };
    const planned = decide({ call, transition, ...watching, watches, hooks, nowMs });
    if (planned.length === 0) return [];
    this.#watches.set(callId, watchesAfter(watches, planned));
    return this.#keep(context, planned);
  }

  /**
   * Plans the first event of a watch that this transaction creates, which is not among the watches at hand. Returns the
   * watch after it; `null` if the event ended it.
   */
  planFirst(
    context: TransitionContext,
    call: TransitionInput["call"],
    watch: Watch,
    notifiesHooks: boolean,
  ): { readonly notices: readonly Notice[]; readonly watch: Watch | null } {
    const { callId, transition, nowMs } = context;
    const hooks = notifiesHooks ? (this.#hooks.get(callId) ?? []).filter(({ accountId }) => accountId === watch.accountId) : [];
    const planned = planInitialEvents({ call, transition, watches: [watch], hooks, nowMs });
    return { notices: this.#keep(context, planned), watch: watchesAfter([watch], planned)[0] ?? null };
  }

  #keep(context: TransitionContext, planned: readonly PlannedEvent[]): readonly Notice[] {
    const { callId, transition } = context;
    this.#planned.push(...planned.map((plan) => ({ plan, context })));
    const notified = new Set(planned.flatMap(({ hookIds }) => hookIds));
    if (notified.size > 0)
      this.#hooks.set(
        callId,
        (this.#hooks.get(callId) ?? []).map((hook) => (notified.has(hook.id) ? { ...hook, notifiedTransition: transition } : hook)),
      );
    return planned.map(({ event, watchId, sequence }) => ({
      accountId: event.accountId,
      watchId,
      callSid: event.data.callSid,
      sequence,
      eventType: event.type,
    }));
  }

  /** Writes all planned events and returns the leased jobs by context. */
  async write(tx: Transaction, token: number | null): Promise<ReadonlyMap<TransitionContext, readonly SendJob[]>> {
    if (this.#planned.length === 0) return new Map();
    const events = this.#planned.map(newEventOf);
    const [jobs] = await Promise.all([insertEvents(tx, token, events), this.#writeWatches(tx), this.#writeHookProgress(tx)]);
    const byContext = new Map<TransitionContext, SendJob[]>();
    for (const [index, { context }] of this.#planned.entries()) {
      const event = events[index];
      const leased = event === undefined ? undefined : jobs.get(event);
      if (leased === undefined) continue;
      byContext.set(context, [...(byContext.get(context) ?? []), ...leased]);
    }
    return byContext;
  }

  async #writeWatches(tx: Transaction): Promise<void> {
    const last = new Map(this.#planned.map((planned) => [planned.plan.watchId, planned]));
    const rows = [...last.values()];
    await tx.run(
      `update watches w set sequence = u.sequence, status = u.status, end_reason = u.end_reason, ended_at = u.ended_at
       from unnest($1::bigint[], $2::integer[], $3::text[], $4::text[], $5::bigint[]) as u(id, sequence, status, end_reason, ended_at) where w.id = u.id`,
      rows.map(({ plan }) => decodeId(plan.watchId)),
      rows.map(({ plan }) => plan.sequence),
      rows.map(({ plan }) => plan.watchStatus),
      rows.map(({ plan }) => plan.endReason),
      rows.map(({ plan, context }) => (plan.watchStatus === "active" ? null : context.nowMs)),
    );
  }

  async #writeHookProgress(tx: Transaction): Promise<void> {
    const last = new Map(
      this.#planned.flatMap(({ plan, context }) =>
        plan.hookIds.map((hookId) => [`${context.callId} ${hookId}`, { hookId, ...context }] as const),
      ),
    );
    if (last.size === 0) return;
    const rows = [...last.values()];
    await tx.run(
      `insert into hook_progress (call_id, hook_id, transition) select * from unnest($1::bigint[], $2::bigint[], $3::integer[])
       on conflict (call_id, hook_id) do update set transition = excluded.transition`,
      rows.map(({ callId }) => decodeId(callId)),
      rows.map(({ hookId }) => decodeId(hookId)),
      rows.map(({ transition }) => transition),
    );
  }
}

function newEventOf({ plan, context }: Planned): NewEvent {
  const { event, watchId, sequence, terminal, trace, endpointIds } = plan;
  return { event, watchId, callSid: event.data.callSid, sequence, terminal, trace, endpointIds, nowMs: context.recordedAtMs };
}

/** SQL query: a column of the oldest `$2` active watches of each call of `$1`. */
const oldest = (column: string) => `select w.${column} from unnest($1::bigint[]) as k(id) cross join lateral (
      select id, account_id from watches where (call_id, id) >= (k.id, 0) and call_id <= k.id and status = 'active'
      order by call_id, id limit $2) w`;

/** SQL query: hooks of these accounts, locked. */
function hooksOf(accountKeys: string): string {
  return `select h.id, h.account_id, h.endpoint_id, h.events from hooks h
    where h.disabled_at is null and h.account_id = any(${accountKeys}) order by ${unindexedKey("h.id")} for key share`;
}

/** Returns hooks with their progress on each call. */
async function withProgress(tx: Transaction, callKeys: readonly number[], hooks: readonly Row[]): Promise<Map<string, SubscriberHook[]>> {
  if (hooks.length === 0) return new Map();
  const progress = await tx.all(
    "select call_id, hook_id, transition from hook_progress where call_id = any($1) and hook_id = any($2)",
    callKeys,
    hooks.map((row) => integer(row, "id")),
  );
  const notified = new Map(progress.map((row) => [`${integer(row, "call_id")} ${integer(row, "hook_id")}`, integer(row, "transition")]));
  const ofCall = (callKey: number) =>
    hooks.map((row) => ({
      id: id(row, "hk", "id"),
      accountId: id(row, "acc", "account_id"),
      endpointId: id(row, "ep", "endpoint_id"),
      filter: filterOf(row),
      notifiedTransition: notified.get(`${callKey} ${integer(row, "id")}`) ?? 0,
    }));
  return new Map(callKeys.map((callKey) => [encodeId("call", callKey), ofCall(callKey)]));
}

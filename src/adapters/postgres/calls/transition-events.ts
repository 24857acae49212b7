import { decodeId, encodeId } from "../../../domain/ids.ts";
import { watchesAfter } from "../../../domain/calls/transition.ts";
import type { PlannedEvent, SubscriberHook, TransitionInput } from "../../../domain/calls/transition.ts";
import type { Watch } from "../../../domain/calls/watch.ts";
import type { Notice } from "../../../ports/stores/call-store.ts";
import type { SendJob } from "../../../ports/stores/send-job.ts";
import { filterOf, id, integer, watchOf } from "../../sql/rows.ts";
import type { Transaction } from "../connection/transaction.ts";
import { unindexedKey } from "../reading/page.ts";
import { insertEvents } from "../deliveries/event-rows.ts";
import type { NewEvent } from "../deliveries/event-rows.ts";

export type TransitionContext = { readonly callId: string; readonly transition: number; readonly nowMs: number };
type Planned = { readonly plan: PlannedEvent; readonly context: TransitionContext };

/**
 * Events of calls for their watches and hooks, planned in memory for a whole batch and written together. The caller has
 * locked the calls. `load` locks their active watches and the hooks of those watches' accounts, so that no registration,
 * removal or other transition changes them between the read and the write.
 */
export class TransitionEvents {
  readonly #watches: Map<string, readonly Watch[]>;
  readonly #hooks: Map<string, SubscriberHook[]>;
  readonly #planned: Planned[] = [];

  private constructor(watches: Map<string, readonly Watch[]>, hooks: Map<string, SubscriberHook[]>) {
    this.#watches = watches;
    this.#hooks = hooks;
  }

  /** `accountKeys` names further accounts whose hooks may be notified although they have no watch on these calls yet. */
  static async load(tx: Transaction, callKeys: readonly number[], accountKeys: readonly number[] = []): Promise<TransitionEvents> {
    if (callKeys.length === 0) return new TransitionEvents(new Map(), new Map());
    const [watches, hooks] = await Promise.all([
      tx.all(
        `select w.*, c.source_name, c.call_sid, null as callback_url from watches w join calls c on c.id = w.call_id
         where w.call_id = any($1) and w.status = 'active' order by w.id for no key update of w`,
        callKeys,
      ),
      tx.all(
        `select h.id, h.account_id, h.endpoint_id, h.events from hooks h
         where h.disabled_at is null and h.account_id = any(array(
           select w.account_id from watches w where w.call_id = any($1) and w.status = 'active' union select unnest($2::bigint[])))
         order by ${unindexedKey("h.id")} for key share`,
        callKeys,
        accountKeys,
      ),
    ]);
    const progress =
      hooks.length === 0
        ? []
        : await tx.all(
            "select call_id, hook_id, transition from hook_progress where call_id = any($1) and hook_id = any($2)",
            callKeys,
            hooks.map((row) => integer(row, "id")),
          );
    const notified = new Map(progress.map((row) => [`${integer(row, "call_id")} ${integer(row, "hook_id")}`, integer(row, "transition")]));
    const hooksOf = (callKey: number) =>
      hooks.map((row) => ({
        id: id(row, "hk", "id"),
        accountId: id(row, "acc", "account_id"),
        endpointId: id(row, "ep", "endpoint_id"),
        filter: filterOf(row),
        notifiedTransition: notified.get(`${callKey} ${integer(row, "id")}`) ?? 0,
      }));
    return new TransitionEvents(
      Map.groupBy(watches.map(watchOf), ({ callId }) => callId),
      new Map(hooks.length === 0 ? [] : callKeys.map((callKey) => [encodeId("call", callKey), hooksOf(callKey)])),
    );
  }

  /** Returns the active watches of a call after the planned events, oldest first. */
  watchesOf(callId: string): readonly Watch[] {
    return this.#watches.get(callId) ?? [];
  }

  /** Adds a watch that this transaction creates, as the youngest of its call. */
  add(watch: Watch): void {
    this.#watches.set(watch.callId, [...this.watchesOf(watch.callId), watch]);
  }

  /** Plans events on the state that earlier plans left. */
  planEvents(
    context: TransitionContext,
    call: TransitionInput["call"],
    decide: (input: TransitionInput) => readonly PlannedEvent[],
  ): readonly Notice[] {
    const { callId, transition, nowMs } = context;
    const watches = this.watchesOf(callId);
    const accounts = new Set(watches.map((watch) => watch.accountId));
    const hooks = (this.#hooks.get(callId) ?? []).filter((hook) => accounts.has(hook.accountId));
    const planned = decide({ call, transition, watches, hooks, nowMs });
    if (planned.length === 0) return [];
    this.#planned.push(...planned.map((plan) => ({ plan, context })));
    this.#watches.set(callId, watchesAfter(watches, planned));
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
  const { event, watchId, sequence, terminal, endpointIds } = plan;
  return { event, watchId, callSid: event.data.callSid, sequence, terminal, endpointIds, nowMs: context.nowMs };
}

import { decodeId } from "../../../domain/ids.ts";
import type { PlannedEvent, SubscriberHook, SubscriberWatch } from "../../../domain/calls/transition.ts";
import type { Notice } from "../../../ports/stores/call-store.ts";
import type { SendJob } from "../../../ports/stores/send-job.ts";
import { filterOf, id, integer } from "../../sql/rows.ts";
import type { Database } from "../connection/database.ts";
import { insertEvent } from "../deliveries/event-rows.ts";

/** Reads the hooks of every account that has one of these watches. */
export function readHooks(db: Database, callKey: number, watches: readonly SubscriberWatch[]): readonly SubscriberHook[] {
  const accountKeys = new Set(watches.map((watch) => decodeId(watch.accountId)));
  return [...accountKeys].flatMap((accountKey) => {
    if (db.cache.hasNoHooks(accountKey)) return [];
    const hooks = db
      .all(
        `select h.id, h.account_id, h.endpoint_id, h.events, coalesce(p.transition, 0) as transition
         from hooks h left join hook_progress p on p.call_id = ? and p.hook_id = h.id where h.account_id = ? and h.disabled_at is null order by h.id`,
        callKey,
        accountKey,
      )
      .map((row) => ({
        id: id(row, "hk", "id"),
        accountId: id(row, "acc", "account_id"),
        endpointId: id(row, "ep", "endpoint_id"),
        filter: filterOf(row),
        notifiedTransition: integer(row, "transition"),
      }));
    if (hooks.length === 0) db.cache.keepWithoutHooks(accountKey);
    return hooks;
  });
}

/** Writes planned events with their deliveries, the watches as they are after the events, and the progress of the hooks. `recordedAtMs` is later than `nowMs` in a portion. */
export function writePlanned(
  db: Database,
  planned: readonly PlannedEvent[],
  context: { readonly callKey: number; readonly transition: number; readonly nowMs: number; readonly recordedAtMs: number },
): { readonly notices: readonly Notice[]; readonly jobs: readonly SendJob[] } {
  const jobs: SendJob[] = [];
  const notices: Notice[] = [];
  for (const plan of planned) {
    const { event, watchId, sequence, watchStatus } = plan;
    const watchKey = decodeId(watchId);
    if (watchStatus === "active") db.run("update watches set sequence = ? where id = ?", sequence, watchKey);
    else {
      db.run(
        "update watches set sequence = ?, status = ?, end_reason = ?, ended_at = ? where id = ?",
        sequence,
        watchStatus,
        plan.endReason,
        context.nowMs,
        watchKey,
      );
      db.counters.countWatches(decodeId(event.accountId), "active", watchStatus);
    }
    jobs.push(
      ...insertEvent(
        db,
        { event, watchId, callSid: event.data.callSid, sequence, terminal: plan.terminal, trace: plan.trace },
        plan.endpointIds,
        context.recordedAtMs,
      ),
    );
    for (const hookId of plan.hookIds)
      db.run(
        "insert into hook_progress (call_id, hook_id, transition) values (?1, ?2, ?3) on conflict (call_id, hook_id) do update set transition = ?3",
        context.callKey,
        decodeId(hookId),
        context.transition,
      );
    notices.push({ accountId: event.accountId, watchId, callSid: event.data.callSid, sequence, eventType: event.type });
  }
  return { notices, jobs };
}

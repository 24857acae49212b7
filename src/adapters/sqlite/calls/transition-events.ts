import { decodeId } from "../../../domain/ids.ts";
import type { PlannedEvent, SubscriberHook, SubscriberWatch } from "../../../domain/calls/transition.ts";
import type { Watch } from "../../../domain/calls/watch.ts";
import type { Notice } from "../../../ports/stores/call-store.ts";
import type { SendJob } from "../../../ports/stores/send-job.ts";
import { filterOf, id, integer, watchOf } from "../../sql/rows.ts";
import type { Database } from "../connection/database.ts";
import { insertEvent } from "../deliveries/event-rows.ts";

/** Reads the active watches of a call, oldest first, in the transaction that writes their events. */
export function readActiveWatches(db: Database, callKey: number): readonly Watch[] {
  return db
    .all(
      `select w.*, c.source_name, c.call_sid, null as callback_url from watches w join calls c on c.id = w.call_id
       where w.call_id = ? and w.status = 'active' order by w.id`,
      callKey,
    )
    .map(watchOf);
}

/** Reads the hooks of every account that has one of these watches. */
export function readHooks(db: Database, callKey: number, watches: readonly SubscriberWatch[]): readonly SubscriberHook[] {
  const accounts = new Set(watches.map((watch) => watch.accountId));
  return [...accounts].flatMap((accountId) =>
    db
      .all(
        `select h.id, h.account_id, h.endpoint_id, h.events, coalesce(p.transition, 0) as transition
         from hooks h left join hook_progress p on p.call_id = ? and p.hook_id = h.id where h.account_id = ? and h.disabled_at is null order by h.id`,
        callKey,
        decodeId(accountId),
      )
      .map((row) => ({
        id: id(row, "hk", "id"),
        accountId: id(row, "acc", "account_id"),
        endpointId: id(row, "ep", "endpoint_id"),
        filter: filterOf(row),
        notifiedTransition: integer(row, "transition"),
      })),
  );
}

/** Writes planned events with their deliveries, the watches as they are after them, and the progress of the hooks. */
export function writePlanned(
  db: Database,
  planned: readonly PlannedEvent[],
  context: { readonly callKey: number; readonly transition: number; readonly nowMs: number },
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
        { event, watchId, callSid: event.data.callSid, sequence, terminal: plan.terminal },
        plan.endpointIds,
        context.nowMs,
      ),
    );
    for (const hookId of plan.hookIds)
      db.run(
        "insert into hook_progress (call_id, hook_id, transition) values (?1, ?2, ?3) on conflict (call_id, hook_id) do update set transition = ?3",
        context.callKey,
        decodeId(hookId),
        context.transition,
      );
    notices.push({ accountId: event.accountId, watchId, sequence, eventType: event.type });
  }
  return { notices, jobs };
}

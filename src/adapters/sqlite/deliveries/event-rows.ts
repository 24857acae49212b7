import { namesOf, newDeliveryColumns } from "../../sql/delivery-columns.ts";
import { mayLeaseNow } from "../../../domain/deliveries/endpoint.ts";
import { decodeId, newId } from "../../../domain/ids.ts";
import type { RingbackEvent } from "../../../domain/events/event.ts";
import type { SendJob, SendTarget } from "../../../ports/stores/send-job.ts";
import { integer } from "../../sql/rows.ts";
import type { Database } from "../connection/database.ts";
import { lowerDue } from "./due-bounds.ts";
import { refreshLane } from "./lanes.ts";
import { readTarget, sendTargetOf } from "./send-jobs.ts";

export type NewEvent = {
  readonly event: RingbackEvent;
  readonly watchId: string | null;
  readonly callSid: string | null;
  readonly sequence: number | null;
  readonly terminal: boolean;
  readonly trace: string | null;
};

const insertDelivery = `insert into deliveries (event_position, status, lease_token, ${namesOf(newDeliveryColumns)})
  values (?, 'pending', ?, ${newDeliveryColumns.map(() => "?").join(", ")})`;

/** Inserts an event with one delivery for each endpoint. Leases and returns the deliveries that may start now. */
export function insertEvent(
  db: Database,
  { event, watchId, callSid, sequence, terminal, trace }: NewEvent,
  endpointIds: readonly string[],
  nowMs: number,
): readonly SendJob[] {
  const watchKey = watchId === null ? null : decodeId(watchId);
  const position = db.insert(
    `insert into events (id, account_id, watch_id, call_sid, type, terminal, sequence, timestamp, data, created_at)
     values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    event.id,
    decodeId(event.accountId),
    watchKey,
    callSid,
    event.type,
    terminal,
    sequence,
    event.timestampMs,
    JSON.stringify(event.data),
    nowMs,
  );
  db.counters.countEvent(event, nowMs);
  return endpointIds.flatMap((endpointId) => {
    const endpointKey = decodeId(endpointId);
    const deliveryId = newId("dlv", nowMs);
    const nextAttemptAtMs = nowMs + (db.policy.scheduleMs[0] ?? 0);
    const head = watchKey === null || !waitsInLane(db, watchKey, endpointKey);
    const target = head && nextAttemptAtMs <= nowMs ? openTarget(db, endpointKey, nowMs) : null;
    const leaseToken = target === null ? null : db.nextLeaseToken();
    const delivery = {
      id: deliveryId,
      accountId: event.accountId,
      endpointId,
      watchId,
      sequence,
      terminal,
      nextAttemptAtMs,
      dueAtMs: head ? nextAttemptAtMs : null,
      createdAtMs: nowMs,
    };
    db.run(insertDelivery, position, leaseToken, ...newDeliveryColumns.map((column) => column.valueOf(delivery)));
    db.counters.countDeliveries(null, "pending");
    if (leaseToken === null) db.counters.countUnleased(endpointKey, 1);
    if (target !== null && leaseToken !== null)
      return [
        {
          deliveryId,
          leaseToken,
          attemptNumber: 1,
          stepsSpent: 0,
          event,
          target,
          targetAsOfMs: nowMs,
          createdAtMs: nowMs,
          mode: "scheduled",
          trace,
        },
      ];
    if (!head) refreshLane(db, watchKey, endpointKey);
    else lowerDue(db, endpointKey, nextAttemptAtMs);
    return [];
  });
}

function waitsInLane(db: Database, watchKey: number, endpointKey: number): boolean {
  return (
    db.get("select 1 from deliveries where watch_id = ? and endpoint_id = ? and status = 'pending' limit 1", watchKey, endpointKey) !==
    undefined
  );
}

/** Returns the endpoint if a new delivery to it may be leased now; `null` otherwise. */
function openTarget(db: Database, endpointKey: number, nowMs: number): SendTarget | null {
  const cached = readTarget(db, endpointKey);
  return mayLeaseNow(cached.target) ? sendTargetOf(cached, nowMs) : null;
}

/** Cancels the pending deliveries of an endpoint or a watch. An attempt in flight keeps its lease until it is recorded. */
export function cancelPending(db: Database, column: "endpoint_id" | "watch_id", key: number, nowMs: number): void {
  const pending = `${column} = ? and status = 'pending'`;
  const unleased = db.all(
    `select endpoint_id, count(*) as n from deliveries where ${pending} and lease_token is null group by endpoint_id`,
    key,
  );
  for (const row of unleased) db.counters.countUnleased(integer(row, "endpoint_id"), -integer(row, "n"));
  const canceled = db.run(
    `update deliveries set status = 'canceled', settled_at = ?, next_attempt_at = null, due_at = null, retry_accepted_at = null where ${pending}`,
    nowMs,
    key,
  );
  db.counters.countDeliveries("pending", "canceled", canceled);
}

import { adapt, namesOf, newDeliveryColumns } from "../../sql/delivery-columns.ts";
import type { Column, NewDeliveryRow } from "../../sql/delivery-columns.ts";
import { arraysOf, unnestAs } from "../connection/unnest.ts";
import { kindOfEvent } from "../../../domain/activity.ts";
import { countStart } from "../../../domain/deliveries/success-rate.ts";
import { countActivity } from "../attempts/account-activity.ts";
import type { CountedActivity } from "../attempts/account-activity.ts";
import { mayLeaseNow } from "../../../domain/deliveries/endpoint.ts";
import { decodeId, newId } from "../../../domain/ids.ts";
import type { RingbackEvent } from "../../../domain/events/event.ts";
import type { SendJob } from "../../../ports/stores/send-job.ts";
import { integer, keyOrNull } from "../../sql/rows.ts";
import type { Transaction } from "../connection/transaction.ts";
import { feedOrder } from "../reading/feed.ts";
import { isStatus } from "../reading/page.ts";
import { lockEndpoints, lowerDue } from "./due-bounds.ts";
import { InFlight } from "./in-flight-counts.ts";
import { Targets } from "./send-jobs.ts";
import { dueTimes, laneKey, readLanes } from "./lanes.ts";
import type { LaneDelivery } from "./lanes.ts";

export type NewEvent = {
  readonly event: RingbackEvent;
  /** The watch of the event's lane, already locked. `null` if the event belongs to no watch. */
  readonly watchId: string | null;
  readonly callSid: string | null;
  readonly sequence: number | null;
  readonly terminal: boolean;
  /** `traceparent` of the watch's registration. */
  readonly trace: string | null;
  /** Endpoints that each receive one delivery. */
  readonly endpointIds: readonly string[];
  readonly nowMs: number;
};

type NewDelivery = {
  readonly id: string;
  readonly key: number;
  readonly endpointId: string;
  readonly endpointKey: number;
  readonly newEvent: NewEvent;
  readonly nextAttemptAtMs: number;
  /** Whether the delivery is the first of its lane; only then it may be leased at once. */
  isHead: boolean;
  dueAtMs: number | null;
  leased: boolean;
};

/**
 * Inserts events with their deliveries. Leases the heads of lanes that may be sent now to `token` and returns their jobs by
 * event; `null` leases nothing.
 */
export async function insertEvents(
  tx: Transaction,
  token: number | null,
  events: readonly NewEvent[],
): Promise<ReadonlyMap<NewEvent, readonly SendJob[]>> {
  if (events.length === 0) return new Map();
  tx.changed.add("events");
  const deliveries = events.flatMap((newEvent) => newEvent.endpointIds.map((endpointId) => newDelivery(tx, newEvent, endpointId)));
  const endpointKeys = [...new Set(deliveries.map(({ endpointKey }) => endpointKey))];
  const followers = deliveries.filter(({ newEvent }) => newEvent.watchId !== null && (newEvent.sequence ?? 0) > 1);
  const [lanes, inFlight, targets] = await Promise.all([
    readLanes(tx, [...new Set(followers.map(({ newEvent }) => decodeId(newEvent.watchId ?? "")))]),
    // Limits in flight hold over all instances, so a lease beside other instances needs the lock of the endpoint.
    tx.hasPeers && token !== null ? InFlight.lock(tx, endpointKeys) : null,
    Targets.read(tx, endpointKeys),
  ]);
  appendToLanes(deliveries, lanes, tx.policy.orderHoldMs);
  for (const delivery of deliveries) {
    const { endpointKey, newEvent } = delivery;
    delivery.leased =
      token !== null &&
      delivery.isHead &&
      delivery.dueAtMs !== null &&
      delivery.dueAtMs <= newEvent.nowMs &&
      mayLeaseNow(targets.at(endpointKey, newEvent.nowMs)) &&
      (inFlight?.take(endpointKey) ?? true);
  }
  const [tokens] = await Promise.all([
    insertRows(tx, token, events, deliveries),
    lowerBounds(tx, deliveries),
    countActivity(tx, events.flatMap(activityOf)),
  ]);
  const jobs = deliveries
    .filter(({ leased }) => leased)
    .map((delivery) => ({ newEvent: delivery.newEvent, job: jobOf(delivery, targets, tokens.get(delivery.key)) }));
  return new Map([...Map.groupBy(jobs, ({ newEvent }) => newEvent)].map(([newEvent, group]) => [newEvent, group.map(({ job }) => job)]));
}

function activityOf({ event, nowMs }: NewEvent): readonly CountedActivity[] {
  const kind = kindOfEvent(event);
  return kind === null ? [] : [{ accountKey: decodeId(event.accountId), atMs: countStart(nowMs), kind }];
}

function newDelivery(tx: Transaction, newEvent: NewEvent, endpointId: string): NewDelivery {
  const nextAttemptAtMs = newEvent.nowMs + (tx.policy.scheduleMs[0] ?? 0);
  const id = newId("dlv", newEvent.nowMs);
  return {
    id,
    key: decodeId(id),
    endpointId,
    endpointKey: decodeId(endpointId),
    newEvent,
    nextAttemptAtMs,
    isHead: true,
    dueAtMs: nextAttemptAtMs,
    leased: false,
  };
}

/** Appends each delivery to its lane, behind the pending ones. */
function appendToLanes(deliveries: readonly NewDelivery[], lanes: Map<string, LaneDelivery[]>, orderHoldMs: number): void {
  for (const delivery of deliveries) {
    const { watchId, sequence, terminal } = delivery.newEvent;
    if (watchId === null || sequence === null) continue;
    const watchKey = decodeId(watchId);
    const key = laneKey(watchKey, delivery.endpointKey);
    const lane = lanes.get(key) ?? [];
    lanes.set(key, lane);
    delivery.isHead = lane.length === 0;
    lane.push({
      deliveryId: delivery.id,
      watchKey,
      endpointKey: delivery.endpointKey,
      sequence,
      terminal,
      nextAttemptAtMs: delivery.nextAttemptAtMs,
      firstFailedAtMs: null,
      lastRecovery: null,
      dueAtMs: null,
      earlyAfter: null,
      leased: false,
    });
    delivery.dueAtMs = dueTimes(lane, orderHoldMs).at(-1) ?? null;
  }
}

/** Columns to bind for a new delivery: those that its event does not have, the id of the event, and whether it is leased. */
const boundColumns: readonly Column<NewDelivery>[] = [
  ...newDeliveryColumns.filter(({ ofEvent }) => !ofEvent).map((column) => adapt(column, rowOf)),
  { name: "event_id", type: "text", valueOf: ({ newEvent }) => newEvent.event.id },
  { name: "leased", type: "boolean", valueOf: ({ leased }) => leased },
];

function rowOf({ id, endpointId, newEvent, nextAttemptAtMs, dueAtMs }: NewDelivery): NewDeliveryRow {
  const { event, watchId, sequence, terminal, nowMs } = newEvent;
  return { id, accountId: event.accountId, endpointId, watchId, sequence, terminal, nextAttemptAtMs, dueAtMs, createdAtMs: nowMs };
}

async function insertRows(
  tx: Transaction,
  token: number | null,
  events: readonly NewEvent[],
  deliveries: readonly NewDelivery[],
): Promise<ReadonlyMap<number, number>> {
  const rows = await tx.all(
    `with new_events as (
       insert into events (feed_order, id, account_id, watch_id, call_sid, type, terminal, sequence, timestamp, data, created_at)
       select ${feedOrder}, u.id, u.account_id, u.watch_id, u.call_sid, u.type, u.terminal, u.sequence, u.timestamp, u.data, u.created_at
       from unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::boolean[], $7::integer[], $8::bigint[], $9::text[], $10::bigint[])
         with ordinality as u(id, account_id, watch_id, call_sid, type, terminal, sequence, timestamp, data, created_at, n)
       order by u.n returning id, position, account_id, watch_id, sequence, terminal),
     new_deliveries as (
       insert into deliveries (event_position, status, lease_owner, lease_token, ${namesOf(newDeliveryColumns)})
       select e.position, 'pending', case when d.leased then $11::bigint end, case when d.leased then nextval('lease_tokens') end,
         ${newDeliveryColumns.map(({ name, ofEvent }) => `${ofEvent ? "e" : "d"}.${name}`).join(", ")}
       from ${unnestAs("d", boundColumns, 12)} join new_events e on e.id = d.event_id
       returning id, lease_token)
     select id, lease_token from new_deliveries where lease_token is not null`,
    events.map(({ event }) => event.id),
    events.map(({ event }) => decodeId(event.accountId)),
    events.map(({ watchId }) => keyOrNull(watchId)),
    events.map(({ callSid }) => callSid),
    events.map(({ event }) => event.type),
    events.map(({ terminal }) => terminal),
    events.map(({ sequence }) => sequence),
    events.map(({ event }) => event.timestampMs),
    events.map(({ event }) => JSON.stringify(event.data)),
    events.map(({ nowMs }) => nowMs),
    token,
    ...arraysOf(boundColumns, deliveries),
  );
  return new Map(rows.map((row) => [integer(row, "id"), integer(row, "lease_token")]));
}

/** Lowers the due bounds for deliveries that are claimable and were not leased. */
async function lowerBounds(tx: Transaction, deliveries: readonly NewDelivery[]): Promise<void> {
  const earliest = new Map<number, number>();
  for (const { endpointKey, dueAtMs, leased } of deliveries)
    if (!leased && dueAtMs !== null) earliest.set(endpointKey, Math.min(earliest.get(endpointKey) ?? Infinity, dueAtMs));
  if (earliest.size === 0) return;
  tx.changed.add("deliveries");
  await Promise.all([lockEndpoints(tx, [...earliest.keys()]), lowerDue(tx, earliest)]);
}

function jobOf({ id, endpointKey, newEvent }: NewDelivery, targets: Targets, leaseToken: number | undefined): SendJob {
  if (leaseToken === undefined) throw new Error(`no lease of ${id}`);
  const { event, nowMs, trace } = newEvent;
  return {
    deliveryId: id,
    leaseToken,
    attemptNumber: 1,
    stepsSpent: 0,
    event,
    target: targets.at(endpointKey, nowMs),
    targetAsOfMs: nowMs,
    createdAtMs: nowMs,
    mode: "scheduled",
    trace,
  };
}

/** Cancels pending deliveries; their endpoints are locked. A delivery in flight keeps its lease until its attempt is recorded. */
export async function cancelPending(
  tx: Transaction,
  column: "id" | "endpoint_id" | "watch_id",
  keys: readonly number[],
  nowMs: number,
): Promise<void> {
  const canceled = await tx.run(
    `update deliveries set status = 'canceled', settled_at = $1, next_attempt_at = null, due_at = null, retry_accepted_at = null where ${column} = any($2) and ${column === "watch_id" ? "status = 'pending'" : isStatus("status", "pending")}`,
    nowMs,
    keys,
  );
  if (canceled > 0) tx.changed.add("deliveries");
}

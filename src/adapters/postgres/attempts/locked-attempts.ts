import { adapt, attemptColumns, namesOf, stateColumns } from "../../sql/delivery-columns.ts";
import type { Column } from "../../sql/delivery-columns.ts";
import { arraysOf, unnest, unnestAs } from "../connection/unnest.ts";
import { decodeId } from "../../../domain/ids.ts";
import { kindOfAttempt } from "../../../domain/activity.ts";
import { attemptToDelete } from "../../../domain/deliveries/attempt.ts";
import type { Attempt, AttemptDecision } from "../../../domain/deliveries/attempt.ts";
import { causesOperationalEvents } from "../../../domain/events/operational-events.ts";
import { decideLane, placeAfterAttempt, supersededBy } from "../../../domain/deliveries/lane.ts";
import { hasEndpointChanged } from "../../../domain/deliveries/endpoint.ts";
import type { LatePolicy } from "../../../domain/deliveries/endpoint.ts";
import { decideAfterAttempt, hasHostChanged } from "../../../domain/deliveries/delivery-decision.ts";
import type { AttemptResult, EndpointStatus, HostStatus } from "../../../domain/deliveries/delivery-decision.ts";
import { countOf } from "../../../domain/deliveries/success-rate.ts";
import type { AttemptCount } from "../../../domain/deliveries/success-rate.ts";
import type { DeliveryState } from "../../../domain/deliveries/delivery.ts";
import type { DeliveryPolicy } from "../../../domain/deliveries/retry-policy.ts";
import type { AttemptRecord } from "../../../ports/stores/delivery-store.ts";
import type { Row } from "../../sql/rows.ts";
import { deliveryOf, endpointOf, flag, hostColumns, hostStatusOf, id, integer, integerOrNull, keyOrNull, text } from "../../sql/rows.ts";
import type { Transaction } from "../connection/transaction.ts";
import { countActivity } from "./account-activity.ts";
import type { CountedActivity } from "./account-activity.ts";
import { laneKey } from "../deliveries/lanes.ts";

type DeliveryWork = {
  readonly row: Row;
  state: DeliveryState;
  dueAtMs: number | null;
  earlyAfter: number | null;
  leaseToken: number | null;
  leaseOwner: number | null;
  retryAcceptedAtMs: number | null;
  changed: boolean;
};
type EndpointWork = { readonly before: EndpointStatus; status: EndpointStatus; readonly late: LatePolicy; readonly hostId: number };
type HostWork = { readonly origin: string; status: HostStatus; changed: boolean };

/** The decision on one attempt, from which its result is built. */
export type DecidedAttempt = { readonly row: Row; readonly hostId: number; readonly result: AttemptResult };

const of = (column: string) => `select ${column} from deliveries where id = any($1)`;

/**
 * Attempted deliveries with their lanes, endpoints and hosts, all locked. Attempts are decided in memory one after another,
 * each on the state that the previous one left, and written together.
 */
export class LockedAttempts {
  readonly #policy: DeliveryPolicy;
  readonly #deliveries: ReadonlyMap<number, DeliveryWork>;
  readonly #lanes: Map<string, DeliveryWork[]>;
  readonly #endpoints: ReadonlyMap<number, EndpointWork>;
  readonly #hosts: ReadonlyMap<number, HostWork>;
  readonly #attempts: WrittenAttempt[] = [];
  readonly #counts: CountedAttempt[] = [];
  readonly #activity: CountedActivity[] = [];

  /** `endpointKeys` names further endpoints to lock, with their hosts. */
  static async load(tx: Transaction, deliveryKeys: readonly number[], endpointKeys: readonly number[]): Promise<LockedAttempts> {
    const [, endpoints, hosts, deliveries] = await Promise.all([
      tx.run(`select 1 from watches where id = any(array(${of("watch_id")})) order by id for no key update`, deliveryKeys),
      tx.all(
        `select p.*, '' as origin from endpoints p where p.id = any(array(${of("endpoint_id")}) || $2::bigint[]) order by p.id for no key update`,
        deliveryKeys,
        endpointKeys,
      ),
      tx.all(
        `select h.id, h.origin, ${hostColumns} from hosts h
         where h.id = any(array(select host_id from endpoints where id = any(array(${of("endpoint_id")}) || $2::bigint[])))
         order by h.id for no key update`,
        deliveryKeys,
        endpointKeys,
      ),
      tx.all(
        `select d.*, e.id as event_id, e.type as event_type, e.call_sid from (
           select * from deliveries where id = any($1)
           union all
           select * from deliveries
           where watch_id = any(array(${of("watch_id")})) and status = 'pending' and id <> all($1)) d
         join events e on e.position = d.event_position`,
        deliveryKeys,
      ),
    ]);
    const attempted = new Set(deliveries.map((row) => integer(row, "endpoint_id")));
    const own = endpoints.filter((row) => attempted.has(integer(row, "id")));
    const hostIds = new Set(own.map((row) => integer(row, "host_id")));
    return new LockedAttempts(
      tx.policy,
      deliveries,
      own,
      hosts.filter((row) => hostIds.has(integer(row, "id"))),
    );
  }

  private constructor(policy: DeliveryPolicy, deliveries: readonly Row[], endpoints: readonly Row[], hosts: readonly Row[]) {
    this.#policy = policy;
    this.#deliveries = new Map(
      deliveries.map((row) => [
        integer(row, "id"),
        {
          row,
          state: deliveryOf(row),
          dueAtMs: integerOrNull(row, "due_at"),
          earlyAfter: integerOrNull(row, "early_after"),
          leaseToken: integerOrNull(row, "lease_token"),
          leaseOwner: integerOrNull(row, "lease_owner"),
          retryAcceptedAtMs: integerOrNull(row, "retry_accepted_at"),
          changed: false,
        },
      ]),
    );
    const inLanes = [...this.#deliveries.values()].filter(({ row }) => row["watch_id"] !== null && row["sequence"] !== null);
    this.#lanes = Map.groupBy(
      inLanes.toSorted((a, b) => integer(a.row, "sequence") - integer(b.row, "sequence")),
      ({ row }) => laneKey(integer(row, "watch_id"), integer(row, "endpoint_id")),
    );
    this.#endpoints = new Map(
      endpoints.map((row) => {
        const { state, reason, sinceMs, health, late } = endpointOf(row);
        const status = { state, reason, sinceMs, health };
        return [integer(row, "id"), { before: status, status, late, hostId: integer(row, "host_id") }];
      }),
    );
    this.#hosts = new Map(
      hosts.map((row) => [integer(row, "id"), { origin: text(row, "origin"), status: hostStatusOf(row), changed: false }]),
    );
  }

  get endpointKeys(): readonly number[] {
    return [...this.#endpoints.keys()];
  }

  get hostIds(): readonly number[] {
    return [...this.#hosts.keys()];
  }

  /**
   * Decides on one attempt. Returns `null` if the lease was lost or the delivery was deleted. With `isReported` the rows that
   * operational events need are locked.
   */
  decide(record: AttemptRecord, isReported: boolean): DecidedAttempt | null {
    const deliveryKey = decodeId(record.deliveryId);
    const delivery = this.#deliveries.get(deliveryKey);
    if (delivery === undefined || delivery.leaseToken !== record.leaseToken) return null;
    const endpoint = this.#endpoints.get(integer(delivery.row, "endpoint_id"));
    const host = this.#hosts.get(endpoint?.hostId ?? 0);
    if (endpoint === undefined || host === undefined) throw new Error(`no endpoint of ${record.deliveryId}`);
    const { outcome, startedAtMs, durationMs, mode, nowMs, jitter } = record;
    const result = decideAfterAttempt(
      {
        delivery: delivery.state,
        attempt: { number: delivery.state.attemptCount + 1, startedAtMs, durationMs, outcome, mode },
        endpointId: id(delivery.row, "ep", "endpoint_id"),
        origin: host.origin,
        endpoint: endpoint.status,
        host: host.status,
        isTest: delivery.row["event_type"] === "endpoint.test",
        isReported: isReported && causesOperationalEvents(text(delivery.row, "event_type")),
      },
      this.#policy,
      { nowMs, jitter },
    );
    this.#attempts.push({ deliveryKey, attempt: result.attempt });
    if (delivery.row["event_type"] !== "endpoint.test") this.#count(delivery, result.attempt.decision, nowMs);
    this.#applyResult(delivery, result);
    endpoint.status = result.endpoint;
    if (hasHostChanged(host.status, result.host)) host.changed = true;
    host.status = result.host;
    this.#settleLane(delivery, result, endpoint.late, nowMs);
    if (result.endpointChange === "disabled_gone") this.#cancelAll(integer(delivery.row, "endpoint_id"), nowMs);
    return { row: delivery.row, hostId: endpoint.hostId, result };
  }

  /** Counts an attempt. `state` is that before it. */
  #count({ row, state }: DeliveryWork, decision: AttemptDecision, nowMs: number): void {
    const count = countOf(decision, nowMs);
    this.#counts.push({ endpointKey: integer(row, "endpoint_id"), ...count });
    const kind = kindOfAttempt(decision, nowMs - integer(row, "created_at"), state.status === "delivered");
    if (kind !== null) this.#activity.push({ accountKey: integer(row, "account_id"), atMs: count.atMs, kind });
  }

  #applyResult(delivery: DeliveryWork, { delivery: state }: AttemptResult): void {
    const { dueAtMs, earlyAfter } = placeAfterAttempt(state, { isInLane: delivery.row["sequence"] !== null, current: delivery });
    delivery.dueAtMs = dueAtMs;
    delivery.earlyAfter = earlyAfter;
    delivery.state = state;
    delivery.leaseToken = null;
    delivery.leaseOwner = null;
    delivery.retryAcceptedAtMs = null;
    delivery.changed = true;
  }

  #settleLane({ row, state }: DeliveryWork, { attempt }: AttemptResult, late: LatePolicy, nowMs: number): void {
    const watchKey = integerOrNull(row, "watch_id");
    const sequence = integerOrNull(row, "sequence");
    if (watchKey === null || sequence === null) return;
    const lane = this.#lanes.get(laneKey(watchKey, integer(row, "endpoint_id"))) ?? [];
    if (attempt.decision === "delivered" && state.status === "delivered")
      for (const deliveryId of supersededBy(entriesOf(lane), sequence, late)) this.#settle(decodeId(deliveryId), "superseded", nowMs);
    const waiting = lane.filter(isWaiting);
    for (const [index, { dueAtMs, earlyAfter }] of decideLane(entriesOf(waiting), this.#policy.orderHoldMs).entries()) {
      const entry = waiting[index];
      if (entry === undefined || (entry.dueAtMs === dueAtMs && entry.earlyAfter === earlyAfter)) continue;
      entry.dueAtMs = dueAtMs;
      entry.earlyAfter = earlyAfter;
      entry.changed = true;
    }
  }

  #settle(deliveryKey: number, status: "superseded" | "canceled", nowMs: number): void {
    const delivery = this.#deliveries.get(deliveryKey);
    if (delivery === undefined) return;
    delivery.state = { ...delivery.state, status, settledAtMs: nowMs, nextAttemptAtMs: null };
    delivery.dueAtMs = null;
    if (status === "canceled") delivery.retryAcceptedAtMs = null;
    delivery.earlyAfter = null;
    delivery.changed = true;
  }

  /** Cancels the pending deliveries of this batch; those outside the batch are canceled by SQL. */
  #cancelAll(endpointKey: number, nowMs: number): void {
    for (const [deliveryKey, { row, state }] of this.#deliveries)
      if (row["endpoint_id"] === endpointKey && state.status === "pending") this.#settle(deliveryKey, "canceled", nowMs);
  }

  async write(tx: Transaction): Promise<void> {
    const deliveries = [...this.#deliveries.values()].filter(({ changed }) => changed);
    if (deliveries.length === 0) return;
    await Promise.all([
      writeAttempts(tx, this.#attempts),
      writeDeliveries(tx, deliveries),
      countAttempts(tx, this.#counts),
      countActivity(tx, this.#activity),
      this.#writeEndpoints(tx),
      this.#writeHosts(tx),
    ]);
  }

  async #writeEndpoints(tx: Transaction): Promise<void> {
    const endpoints = [...this.#endpoints].filter(([, { before, status }]) => hasEndpointChanged(before, status));
    if (endpoints.length === 0) return;
    await tx.run(
      `update endpoints p set state = u.state, reason = u.reason, since = u.since, consecutive_failures = u.consecutive_failures,
         failing_since = u.failing_since, last_success_at = u.last_success_at, paused_until = u.paused_until,
         paused_since = u.paused_since, consecutive_pauses = u.consecutive_pauses, pause_reason = u.pause_reason,
         recoveries = u.recoveries, recovered_at = u.recovered_at, reported_failing = u.reported_failing
       from unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::integer[], $6::bigint[], $7::bigint[], $8::bigint[], $9::integer[], $10::text[],
         $11::bigint[], $12::integer[], $13::bigint[], $14::boolean[]) as u(id, state, reason, since, consecutive_failures, failing_since, last_success_at, paused_until, consecutive_pauses,
         pause_reason, paused_since, recoveries, recovered_at, reported_failing)
       where p.id = u.id`,
      endpoints.map(([endpointKey]) => endpointKey),
      endpoints.map(([, { status }]) => status.state),
      endpoints.map(([, { status }]) => status.reason),
      endpoints.map(([, { status }]) => status.sinceMs),
      endpoints.map(([, { status }]) => status.health.consecutiveFailures),
      endpoints.map(([, { status }]) => status.health.failingSinceMs),
      endpoints.map(([, { status }]) => status.health.lastSuccessAtMs),
      endpoints.map(([, { status }]) => status.health.pausedUntilMs),
      endpoints.map(([, { status }]) => status.health.consecutivePauses),
      endpoints.map(([, { status }]) => status.health.pauseReason),
      endpoints.map(([, { status }]) => status.health.pausedSinceMs),
      endpoints.map(([, { status }]) => status.health.recoveries),
      endpoints.map(([, { status }]) => status.health.recoveredAtMs),
      endpoints.map(([, { status }]) => status.health.isReportedFailing),
    );
  }

  async #writeHosts(tx: Transaction): Promise<void> {
    const hosts = [...this.#hosts].filter(([, { changed }]) => changed);
    if (hosts.length === 0) return;
    await tx.run(
      `update hosts h set paused_until = u.paused_until, paused_since = u.paused_since, consecutive_pauses = u.consecutive_pauses,
         rate_limited_endpoint_id = u.rate_limited_endpoint_id, rate_limited_at = u.rate_limited_at, other_rate_limited_at = u.other_rate_limited_at
       from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::integer[], $5::bigint[], $6::bigint[], $7::bigint[])
         as u(id, paused_until, paused_since, consecutive_pauses, rate_limited_endpoint_id, rate_limited_at, other_rate_limited_at)
       where h.id = u.id`,
      hosts.map(([hostId]) => hostId),
      hosts.map(([, { status }]) => status.pausedUntilMs),
      hosts.map(([, { status }]) => status.pausedSinceMs),
      hosts.map(([, { status }]) => status.consecutivePauses),
      hosts.map(([, { status }]) => keyOrNull(status.rateLimits.endpointId)),
      hosts.map(([, { status }]) => status.rateLimits.atMs),
      hosts.map(([, { status }]) => status.rateLimits.otherAtMs),
    );
  }
}

const isWaiting = ({ state }: DeliveryWork) => state.status === "pending";

function entriesOf(lane: readonly DeliveryWork[]) {
  return lane.filter(isWaiting).map(({ row, state }) => ({
    deliveryId: state.id,
    sequence: integer(row, "sequence"),
    terminal: flag(row, "terminal"),
    nextAttemptAtMs: state.nextAttemptAtMs ?? 0,
    firstFailedAtMs: state.firstFailedAtMs,
    lastRecovery: state.lastRecovery,
  }));
}

type WrittenAttempt = { readonly deliveryKey: number; readonly attempt: Attempt };

const writtenAttemptColumns: readonly Column<WrittenAttempt>[] = [
  { name: "delivery_id", type: "bigint", valueOf: ({ deliveryKey }) => deliveryKey },
  ...attemptColumns.map((column) => adapt(column, ({ attempt }: WrittenAttempt) => attempt)),
];
const insertAttempts = `insert into attempts (${namesOf(writtenAttemptColumns)}) select * from ${unnest(writtenAttemptColumns)}`;

async function writeAttempts(tx: Transaction, attempts: readonly WrittenAttempt[]): Promise<void> {
  await tx.run(insertAttempts, ...arraysOf(writtenAttemptColumns, attempts));
  const obsolete = attempts.filter(({ attempt }) => attemptToDelete(attempt) !== null);
  if (obsolete.length === 0) return;
  await tx.run(
    "delete from attempts a using unnest($1::bigint[], $2::bigint[]) as gone(delivery_id, number) where a.delivery_id = gone.delivery_id and a.number = gone.number",
    obsolete.map(({ deliveryKey }) => deliveryKey),
    obsolete.map(({ attempt }) => attemptToDelete(attempt)),
  );
}

type CountedAttempt = AttemptCount & { readonly endpointKey: number };

const countColumns: readonly Column<CountedAttempt>[] = [
  { name: "endpoint_id", type: "bigint", valueOf: ({ endpointKey }) => endpointKey },
  { name: "at", type: "bigint", valueOf: ({ atMs }) => atMs },
  { name: "succeeded", type: "integer", valueOf: ({ succeeded }) => succeeded },
  { name: "failed", type: "integer", valueOf: ({ failed }) => failed },
];
const insertCounts = `insert into endpoint_attempt_changes (${namesOf(countColumns)})
  select endpoint_id, at, sum(succeeded), sum(failed) from ${unnestAs("u", countColumns)} group by 1, 2`;

async function countAttempts(tx: Transaction, counts: readonly CountedAttempt[]): Promise<void> {
  if (counts.length > 0) await tx.run(insertCounts, ...arraysOf(countColumns, counts));
}

const changedColumns: readonly Column<DeliveryWork>[] = [
  ...stateColumns.map((column) => adapt(column, ({ state }: DeliveryWork) => state)),
  { name: "due_at", type: "bigint", valueOf: ({ dueAtMs }) => dueAtMs },
  { name: "early_after", type: "integer", valueOf: ({ earlyAfter }) => earlyAfter },
  { name: "lease_owner", type: "bigint", valueOf: ({ leaseOwner }) => leaseOwner },
  { name: "lease_token", type: "bigint", valueOf: ({ leaseToken }) => leaseToken },
  { name: "retry_accepted_at", type: "bigint", valueOf: ({ retryAcceptedAtMs }) => retryAcceptedAtMs },
];
const writtenColumns: readonly Column<DeliveryWork>[] = [
  { name: "id", type: "bigint", valueOf: ({ row }) => integer(row, "id") },
  ...changedColumns,
];
const updateDeliveries = `update deliveries d set ${changedColumns.map(({ name }) => `${name} = u.${name}`).join(", ")}
  from ${unnestAs("u", writtenColumns)} where d.id = u.id`;

async function writeDeliveries(tx: Transaction, deliveries: readonly DeliveryWork[]): Promise<void> {
  await tx.run(updateDeliveries, ...arraysOf(writtenColumns, deliveries));
}

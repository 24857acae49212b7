import { decodeId } from "../../../domain/ids.ts";
import { adapt, attemptColumns, namesOf, stateColumns } from "../../sql/delivery-columns.ts";
import type { Column } from "../../sql/delivery-columns.ts";
import { arraysOf, unnestAs } from "../connection/unnest.ts";
import { recordedOf } from "../../sql/attempt-recorded.ts";
import { decideAfterAttempt, changesOnlyDelivery } from "../../../domain/deliveries/delivery-decision.ts";
import type { AttemptResult } from "../../../domain/deliveries/delivery-decision.ts";
import type { AttemptRecord, AttemptRecorded } from "../../../ports/stores/delivery-store.ts";
import type { Row } from "../../sql/rows.ts";
import { deliveryOf, endpointStateOf, hostColumns, integer, integerOrNull } from "../../sql/rows.ts";
import type { Transaction } from "../connection/transaction.ts";
import { isStatus, unindexedKey } from "../reading/page.ts";

type PlainSuccess = { readonly record: AttemptRecord; readonly result: AttemptResult; readonly hostDueAtMs: number | null };

/**
 * Attempts that change only their own delivery: successes of the only pending delivery in a lane, on a healthy endpoint and
 * host. Most attempts are of this kind. They do not lock endpoint and host, whose rows all instances use, so instances do
 * not wait for each other's commits.
 *
 * This is safe. A concurrent change of the endpoint (a failure, a pause) could as well have happened after the success,
 * which changes nothing on the endpoint. The lock of the watch protects the lane, and also the delivery against a concurrent
 * requeue; deliveries without a watch (tests, operational events) have no such lock, so they are excluded. A delivery that
 * lost its lease or was settled before the write is skipped and recorded with all locks. No due bound changes, because
 * leased deliveries are in no bound (see due-bounds.ts).
 */
export class PlainSuccesses {
  readonly #successes: ReadonlyMap<AttemptRecord, PlainSuccess>;

  /** Locks the watches and selects the plain successes among `records`. */
  static async load(tx: Transaction, records: readonly AttemptRecord[]): Promise<PlainSuccesses> {
    const deliveryKeys = records.map(({ deliveryId }) => decodeId(deliveryId));
    const [, deliveries, endpoints] = await Promise.all([
      tx.run(
        "select 1 from watches where id = any(array(select watch_id from deliveries where id = any($1))) order by id for no key update",
        deliveryKeys,
      ),
      tx.all(
        `select d.*, e.id as event_id, e.type as event_type, e.call_sid from deliveries d join events e on e.position = d.event_position
         where d.id = any($1) and ${isStatus("d.status", "pending")} and ${unindexedKey("d.watch_id")} is not null and (
           select 1 from deliveries o
           where o.watch_id = d.watch_id and ${unindexedKey("o.endpoint_id")} = d.endpoint_id and o.status = 'pending' and o.id <> d.id limit 1) is null`,
        deliveryKeys,
      ),
      tx.all(
        `select p.*, h.origin, ${hostColumns}, least(h.next_due_at, h.failing_due_at) as host_due_at
         from endpoints p join hosts h on h.id = p.host_id where p.id = any(array(select endpoint_id from deliveries where id = any($1)))`,
        deliveryKeys,
      ),
    ]);
    const deliveryByKey = new Map(deliveries.map((row) => [integer(row, "id"), row]));
    const endpointByKey = new Map(endpoints.map((row) => [integer(row, "id"), row]));
    const decided = records.flatMap((record) => {
      const delivery = deliveryByKey.get(decodeId(record.deliveryId));
      const endpoint = delivery === undefined ? undefined : endpointByKey.get(integer(delivery, "endpoint_id"));
      const success = delivery === undefined || endpoint === undefined ? null : decide(tx, record, delivery, endpoint);
      return success === null ? [] : [[record, success] as const];
    });
    return new PlainSuccesses(new Map(decided));
  }

  private constructor(successes: ReadonlyMap<AttemptRecord, PlainSuccess>) {
    this.#successes = successes;
  }

  has(record: AttemptRecord): boolean {
    return this.#successes.has(record);
  }

  /** Writes the successes and returns the results of those recorded. The others were canceled or lost their lease meanwhile. */
  async write(tx: Transaction): Promise<ReadonlyMap<AttemptRecord, AttemptRecorded>> {
    if (this.#successes.size === 0) return new Map();
    const written = [...this.#successes.values()];
    const rows = await tx.all(writeSuccesses, ...arraysOf(successColumns, written));
    const recordedKeys = new Set(rows.map((row) => integer(row, "delivery_id")));
    return new Map(
      written
        .filter(({ record }) => recordedKeys.has(decodeId(record.deliveryId)))
        .map((success) => [success.record, recordedOf(success.result, { endpointNextDueAtMs: success.hostDueAtMs })]),
    );
  }
}

const decidedColumns = stateColumns.filter(({ onPlainSuccess }) => onPlainSuccess === "decided");
/** A success has no error. */
const insertedColumns = attemptColumns.filter(({ name }) => !name.startsWith("error_"));
const successColumns: readonly Column<PlainSuccess>[] = [
  { name: "id", type: "bigint", valueOf: ({ record }) => decodeId(record.deliveryId) },
  { name: "lease_token", type: "bigint", valueOf: ({ record }) => record.leaseToken },
  ...decidedColumns.map((column) => adapt(column, ({ result }: PlainSuccess) => result.delivery)),
  ...insertedColumns.map((column) => adapt(column, ({ result }: PlainSuccess) => result.attempt)),
];
const assignments = stateColumns.flatMap(({ name, onPlainSuccess }) => {
  if (onPlainSuccess === "unchanged") return [];
  return [`${name} = ${onPlainSuccess === "decided" ? `u.${name}` : onPlainSuccess.constant}`];
});
const writeSuccesses = `with attempted as (select * from ${unnestAs("u", successColumns)}),
   settled as (
     update deliveries d set ${assignments.join(", ")}, due_at = null, lease_owner = null, lease_token = null
     from attempted u where d.id = u.id and d.lease_token = u.lease_token and d.status = 'pending' returning d.id)
   insert into attempts (delivery_id, ${namesOf(insertedColumns)})
   select u.id, ${namesOf(insertedColumns, "u.")} from attempted u join settled s on s.id = u.id returning delivery_id`;

/** Returns `null` if more than the delivery changes, or if this record may not settle it. */
function decide(tx: Transaction, record: AttemptRecord, row: Row, endpointRow: Row): PlainSuccess | null {
  if (row["lease_token"] !== record.leaseToken || record.mode !== "scheduled") return null;
  const before = endpointStateOf(endpointRow);
  const { outcome, startedAtMs, durationMs, mode, nowMs, jitter } = record;
  const delivery = deliveryOf(row);
  const attempt = { number: delivery.attemptCount + 1, startedAtMs, durationMs, outcome, mode };
  const result = decideAfterAttempt({ delivery, attempt, ...before, isTest: false }, tx.policy, { nowMs, jitter });
  return changesOnlyDelivery(before, result) ? { record, result, hostDueAtMs: integerOrNull(endpointRow, "host_due_at") } : null;
}

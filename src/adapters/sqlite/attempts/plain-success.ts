import { isLastSuccessOutdated } from "../../../domain/deliveries/endpoint.ts";
import { decodeId } from "../../../domain/ids.ts";
import type { AttemptRecord, AttemptRecorded } from "../../../ports/stores/delivery-store.ts";
import { recordedOf } from "../../sql/attempt-recorded.ts";
import { asPlainSuccess, isHealthy, plainSuccessColumns, plainSuccessConstants } from "../../sql/plain-success.ts";
import { hostDueAt } from "../deliveries/due-bounds.ts";
import type { Database } from "../connection/database.ts";

type Written = readonly [endpointKey: number, createdAtMs: number, hostDueAtMs: number | null, lastSuccessAtMs: number | null];

const assignments = [...plainSuccessConstants, ...plainSuccessColumns.map(({ name }, index) => `${name} = ?${index + 3}`)];

// Every table is reached by its key. A lane is an index range, which has no entry but the delivery's own.
const write = `update deliveries set ${assignments.join(", ")}
  where id = ?1 and lease_token = ?2 and status = 'pending' and attempt_count = 0 and watch_id is not null
    and not exists (select 1 from deliveries o
      where o.watch_id = deliveries.watch_id and o.endpoint_id = deliveries.endpoint_id and o.status = 'pending' and o.id <> deliveries.id)
    and exists (select 1 from endpoints p join hosts h on h.id = p.host_id where p.id = deliveries.endpoint_id and ${isHealthy})
  returning endpoint_id, created_at,
    (select ${hostDueAt} from hosts where id = (select p.host_id from endpoints p where p.id = endpoint_id)),
    (select p.last_success_at from endpoints p where p.id = endpoint_id)`;

/**
 * Records an attempt as a plain success, by one statement that checks that it is one. Returns `null` if it is none, and has
 * written nothing. No due bound changes, because leased deliveries are in no bound (see due-bounds.ts).
 */
export function recordPlainSuccess(db: Database, record: AttemptRecord): AttemptRecorded | null {
  const success = asPlainSuccess(db.policy, record);
  if (success === null) return null;
  const [row] = db.allArrays(
    write,
    decodeId(record.deliveryId),
    record.leaseToken,
    ...plainSuccessColumns.map((column) => column.valueOf(success)),
  );
  if (row === undefined) return null;
  const [endpointKey, createdAtMs, hostDueAtMs, lastSuccessAtMs] = row as unknown as Written;
  db.counters.countDeliveries("pending", "delivered");
  db.counters.countAttempt(endpointKey, "delivered", {
    accountKey: decodeId(record.accountId),
    createdAtMs,
    endedAtMs: record.nowMs,
    hadArrived: false,
  });
  if (isLastSuccessOutdated(lastSuccessAtMs, record.nowMs)) {
    db.cache.forgetEndpoint(endpointKey);
    db.run("update endpoints set last_success_at = ? where id = ?", record.nowMs, endpointKey);
  }
  return recordedOf(success.result, { endpointNextDueAtMs: hostDueAtMs });
}

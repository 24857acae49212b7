import type { SealedSecret, SendJob, SendTarget } from "../../../ports/stores/send-job.ts";
import { blob, endpointOf, eventOf, id, integer, integerOrNull } from "../../sql/rows.ts";
import type { Database } from "../connection/database.ts";

/** Leases a delivery to this process and reads everything that its attempt needs. */
export function leaseJob(db: Database, deliveryKey: number, mode: SendJob["mode"], nowMs: number): SendJob {
  const leaseToken = db.nextLeaseToken();
  db.run("update deliveries set lease_token = ? where id = ?", leaseToken, deliveryKey);
  const row = db.get(
    `select d.id, d.attempt_count, d.steps_spent, d.created_at, d.endpoint_id,
            e.id as event_id, e.account_id, e.timestamp, e.type as event_type, e.data
     from deliveries d join events e on e.position = d.event_position where d.id = ?`,
    deliveryKey,
  );
  if (row === undefined) throw new Error(`no delivery ${deliveryKey}`);
  return {
    deliveryId: id(row, "dlv", "id"),
    leaseToken,
    attemptNumber: integer(row, "attempt_count") + 1,
    stepsSpent: integer(row, "steps_spent"),
    event: eventOf(row),
    target: readTarget(db, integer(row, "endpoint_id"), nowMs),
    createdAtMs: integer(row, "created_at"),
    mode,
  };
}

/** Reads the target of a job: its endpoint with headers, secrets and health. */
export function readTarget(db: Database, endpointKey: number, nowMs: number): SendTarget {
  const row = db.get(
    `select p.*, h.origin, h.paused_until as host_paused_until, h.consecutive_pauses as host_consecutive_pauses
     from endpoints p join hosts h on h.id = p.host_id where p.id = ?`,
    endpointKey,
  );
  if (row === undefined) throw new Error(`no endpoint ${endpointKey}`);
  return {
    ...endpointOf(row),
    sealedHeaders: row["sealed_headers"] === null ? null : blob(row, "sealed_headers"),
    secrets: readValidSecrets(db, endpointKey, nowMs),
    hostPausedUntilMs: integerOrNull(row, "host_paused_until"),
    hostConsecutivePauses: integer(row, "host_consecutive_pauses"),
  };
}

function readValidSecrets(db: Database, endpointKey: number, nowMs: number): readonly SealedSecret[] {
  return db
    .all(
      `select s.id, s.sealed, x.valid_until from endpoint_secrets x join secrets s on s.id = x.secret_id
       where x.endpoint_id = ? and (x.valid_until is null or x.valid_until > ?) order by x.position desc`,
      endpointKey,
      nowMs,
    )
    .map((row) => ({ id: id(row, "sec", "id"), sealed: blob(row, "sealed"), validUntilMs: integerOrNull(row, "valid_until") }));
}

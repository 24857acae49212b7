import type { SealedSecret, SendJob, SendTarget } from "../../../ports/stores/send-job.ts";
import { blob, endpointOf, eventOf, integer, integerOrNull, text } from "../../sql/rows.ts";
import type { Database } from "../connection/database.ts";

/** Leases a delivery to this process and reads everything that its attempt needs. */
export function leaseJob(db: Database, deliveryId: string, mode: SendJob["mode"], nowMs: number): SendJob {
  const leaseToken = db.nextLeaseToken();
  db.run("update deliveries set lease_token = ? where id = ?", leaseToken, deliveryId);
  const row = db.get(
    `select d.id, d.attempt_count, d.steps_spent, d.created_at, d.endpoint_id,
            e.id as event_id, e.account_id, e.timestamp, e.type as event_type, e.data
     from deliveries d join events e on e.position = d.event_position where d.id = ?`,
    deliveryId,
  );
  if (row === undefined) throw new Error(`no delivery ${deliveryId}`);
  return {
    deliveryId,
    leaseToken,
    attemptNumber: integer(row, "attempt_count") + 1,
    stepsSpent: integer(row, "steps_spent"),
    event: eventOf(row),
    target: readTarget(db, text(row, "endpoint_id"), nowMs),
    createdAtMs: integer(row, "created_at"),
    mode,
  };
}

/** Reads the target of a job: its endpoint with headers, secrets and health. */
export function readTarget(db: Database, endpointId: string, nowMs: number): SendTarget {
  const row = db.get(
    `select p.*, h.origin, h.paused_until as host_paused_until, h.consecutive_pauses as host_consecutive_pauses
     from endpoints p join hosts h on h.id = p.host_id where p.id = ?`,
    endpointId,
  );
  if (row === undefined) throw new Error(`no endpoint ${endpointId}`);
  return {
    ...endpointOf(row),
    sealedHeaders: row["sealed_headers"] === null ? null : blob(row, "sealed_headers"),
    secrets: readValidSecrets(db, endpointId, nowMs),
    hostPausedUntilMs: integerOrNull(row, "host_paused_until"),
    hostConsecutivePauses: integer(row, "host_consecutive_pauses"),
  };
}

function readValidSecrets(db: Database, endpointId: string, nowMs: number): readonly SealedSecret[] {
  return db
    .all(
      `select s.id, s.sealed, x.valid_until from endpoint_secrets x join secrets s on s.id = x.secret_id
       where x.endpoint_id = ? and (x.valid_until is null or x.valid_until > ?) order by x.position desc`,
      endpointId,
      nowMs,
    )
    .map((row) => ({ id: text(row, "id"), sealed: blob(row, "sealed"), validUntilMs: integerOrNull(row, "valid_until") }));
}

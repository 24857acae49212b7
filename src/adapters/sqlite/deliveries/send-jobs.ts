import { decodeId } from "../../../domain/ids.ts";
import type { SealedSecret, SendJob, SendTarget } from "../../../ports/stores/send-job.ts";
import { blob, endpointOf, eventOf, hostColumns, hostStatusOf, id, integer, integerOrNull, textOrNull } from "../../sql/rows.ts";
import type { Database } from "../connection/database.ts";
import type { CachedTarget } from "../connection/row-cache.ts";

export const reads = { readTargets };

function readTargets(db: Database, endpointIds: readonly string[]): readonly SendTarget[] {
  const isKnown = (endpointKey: number) => db.get("select 1 from endpoints where id = ?", endpointKey) !== undefined;
  return endpointIds
    .map(decodeId)
    .filter(isKnown)
    .map((endpointKey) => readTarget(db, endpointKey).target);
}

/** Leases a delivery to this process and reads everything that its attempt needs. */
export function leaseJob(db: Database, deliveryKey: number, mode: SendJob["mode"], nowMs: number): SendJob {
  const row = db.get(
    `select d.id, d.status, d.lease_token, d.attempt_count, d.steps_spent, d.created_at, d.endpoint_id,
            e.id as event_id, e.account_id, e.timestamp, e.type as event_type, e.data,
            (select w.trace from watches w where w.id = d.watch_id) as trace
     from deliveries d join events e on e.position = d.event_position where d.id = ?`,
    deliveryKey,
  );
  if (row === undefined) throw new Error(`no delivery ${deliveryKey}`);
  const leaseToken = db.nextLeaseToken();
  db.run("update deliveries set lease_token = ? where id = ?", leaseToken, deliveryKey);
  if (row["status"] === "pending" && row["lease_token"] === null) db.counters.countUnleased(integer(row, "endpoint_id"), -1);
  return {
    deliveryId: id(row, "dlv", "id"),
    leaseToken,
    attemptNumber: integer(row, "attempt_count") + 1,
    stepsSpent: integer(row, "steps_spent"),
    event: eventOf(row),
    target: sendTargetOf(readTarget(db, integer(row, "endpoint_id")), nowMs),
    targetAsOfMs: nowMs,
    createdAtMs: integer(row, "created_at"),
    mode,
    trace: textOrNull(row, "trace"),
  };
}

/** Returns the target of a job, with the secrets that sign at `nowMs`. */
export function sendTargetOf({ target }: CachedTarget, nowMs: number): SendTarget {
  const signs = ({ validUntilMs }: SealedSecret) => validUntilMs === null || validUntilMs > nowMs;
  // The jobs of a group share one object, which the message to the main thread then holds once.
  return target.secrets.every(signs) ? target : { ...target, secrets: target.secrets.filter(signs) };
}

/** Reads an endpoint with its host and secrets, from the cache if it has them. */
export function readTarget(db: Database, endpointKey: number): CachedTarget {
  const cached = db.cache.target(endpointKey);
  if (cached !== undefined) return cached;
  const row = db.get(
    `select p.*, h.origin, ${hostColumns}
     from endpoints p join hosts h on h.id = p.host_id where p.id = ?`,
    endpointKey,
  );
  if (row === undefined) throw new Error(`no endpoint ${endpointKey}`);
  const endpoint = endpointOf(row);
  const { state, reason, sinceMs, health } = endpoint;
  const host = hostStatusOf(row);
  const target: CachedTarget = {
    key: endpointKey,
    hostKey: integer(row, "host_id"),
    endpoint: { state, reason, sinceMs, health },
    host,
    target: {
      ...endpoint,
      sealedHeaders: row["sealed_headers"] === null ? null : blob(row, "sealed_headers"),
      hostPausedUntilMs: host.pausedUntilMs,
      hostConsecutivePauses: host.consecutivePauses,
      secrets: readSecrets(db, endpointKey),
    },
  };
  db.cache.keepTarget(target);
  return target;
}

function readSecrets(db: Database, endpointKey: number): readonly SealedSecret[] {
  return db
    .all(
      `select s.id, s.sealed, x.valid_until from endpoint_secrets x join secrets s on s.id = x.secret_id
       where x.endpoint_id = ? order by x.position desc`,
      endpointKey,
    )
    .map((row) => ({ id: id(row, "sec", "id"), sealed: blob(row, "sealed"), validUntilMs: integerOrNull(row, "valid_until") }));
}

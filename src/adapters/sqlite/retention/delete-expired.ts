import type { RetentionStore } from "../../../ports/stores/service-store.ts";
import { integer, text } from "../../sql/rows.ts";
import { deleteUnwatchedCall } from "../calls/watched-calls.ts";
import type { Database } from "../connection/database.ts";
import { deleteUnusedSecrets } from "../registration/secrets.ts";

export const writes = { deleteExpired };

type Retention = Parameters<RetentionStore["deleteExpired"]>[0];

/**
 * Deletes one small batch of expired rows, in an order that leaves no reference to a deleted row. Every part finds its rows
 * by an index on their age, so that the cost follows the number of deleted rows, never of kept ones.
 */
function deleteExpired(db: Database, request: Retention): { readonly deleted: number; readonly more: boolean } {
  const counts = [
    expireDisabled(db, request),
    deleteWatches(db, request),
    deleteUnwatchedEvents(db, request),
    deleteEndpoints(db, request),
    deleteStoredAnswers(db, request),
  ];
  return { deleted: counts.reduce((sum, count) => sum + count, 0), more: counts.includes(request.limit) };
}

/** Expires old pending deliveries of disabled endpoints, so that their watches can be deleted. */
function expireDisabled(db: Database, { beforeMs, nowMs, limit }: Retention): number {
  return db.run(
    `update deliveries set status = 'expired', settled_at = ?1, next_attempt_at = null, due_at = null where rowid in (
       select d.rowid from deliveries d indexed by deliveries_old join endpoints p on p.id = d.endpoint_id
       where d.status = 'pending' and d.created_at < ?2 and p.state = 'disabled' and d.lease_token is null limit ?3)`,
    nowMs,
    beforeMs,
    limit,
  );
}

/** Deletes watches with their events, and each call with its last watch. */
function deleteWatches(db: Database, { beforeMs, limit }: Retention): number {
  const watches = db.all(
    `select w.id, w.call_id from watches w where w.ended_at < ?1
       and not exists (select 1 from deliveries d where d.watch_id = w.id and (d.status = 'pending' or d.next_attempt_at is not null or d.lease_token is not null))
     order by w.ended_at limit ?2`,
    beforeMs,
    limit,
  );
  for (const row of watches) {
    db.run("delete from watches where id = ?", text(row, "id"));
    deleteUnwatchedCall(db, text(row, "call_id"));
  }
  return watches.length;
}

function deleteUnwatchedEvents(db: Database, { beforeMs, limit }: Retention): number {
  return db.run(
    `delete from events where position in (
       select e.position from events e indexed by events_unwatched where e.watch_id is null and e.created_at < ?1
         and not exists (select 1 from deliveries d where d.event_position = e.position and (d.status = 'pending' or d.next_attempt_at is not null or d.lease_token is not null))
       limit ?2)`,
    beforeMs,
    limit,
  );
}

/** Deletes endpoints without references, with the secrets and hosts that only they used. */
function deleteEndpoints(db: Database, { beforeMs, limit }: Retention): number {
  const endpoints = db.all(
    `select p.id, p.host_id from endpoints p where p.created_at < ?1 and coalesce(p.last_success_at, 0) < ?1
       and not exists (select 1 from watches w where w.endpoint_id = p.id)
       and not exists (select 1 from hooks k where k.endpoint_id = p.id and (k.disabled_at is null or k.disabled_at >= ?1))
       and not exists (select 1 from deliveries d where d.endpoint_id = p.id) limit ?2`,
    beforeMs,
    limit,
  );
  for (const row of endpoints) {
    const secrets = db.all("select secret_id from endpoint_secrets where endpoint_id = ?", text(row, "id"));
    db.run("delete from hooks where endpoint_id = ?", text(row, "id"));
    db.run("delete from endpoints where id = ?", text(row, "id"));
    deleteUnusedSecrets(
      db,
      secrets.map((secret) => text(secret, "secret_id")),
    );
    db.run("delete from hosts where id = ?1 and not exists (select 1 from endpoints p where p.host_id = ?1)", integer(row, "host_id"));
  }
  return endpoints.length;
}

function deleteStoredAnswers(db: Database, { nowMs, limit }: Retention): number {
  return db.run("delete from stored_answers where rowid in (select rowid from stored_answers where expires_at <= ? limit ?)", nowMs, limit);
}

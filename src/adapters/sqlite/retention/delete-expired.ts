import type { RetentionStore } from "../../../ports/stores/service-store.ts";
import type { Database } from "../connection/database.ts";
import { integer, text } from "../../sql/rows.ts";
import { deleteUnusedSecrets } from "../registration/secrets.ts";
import { deleteUnwatchedCall } from "../calls/watched-call.ts";

type Retention = Parameters<RetentionStore["deleteExpired"]>[0];

/**
 * One small batch of what retention is over for, in an order that leaves nothing pointing at what is gone. Every part
 * finds its rows by an index on their age: the cost is that of what is deleted, never of what is kept.
 */
export function deleteExpired(db: Database, request: Retention): { readonly deleted: number; readonly more: boolean } {
  const counts = [
    expireDisabled(db, request),
    deleteWatches(db, request),
    deleteUnwatchedEvents(db, request),
    deleteEndpoints(db, request),
    deleteStoredAnswers(db, request),
  ];
  return { deleted: counts.reduce((sum, count) => sum + count, 0), more: counts.includes(request.limit) };
}

/** What a disabled endpoint was owed for the whole time is given up, so that its watches can go. */
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

/** A watch with its events, and its call when it was the last one there. */
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

/** Endpoints nothing refers to, with the secrets and the host that only they used. */
function deleteEndpoints(db: Database, { beforeMs, limit }: Retention): number {
  const endpoints = db.all(
    `select p.id, p.host_id from endpoints p where p.created_at < ?1 and coalesce(p.last_success_at, 0) < ?1
       and not exists (select 1 from watches w where w.endpoint_id = p.id)
       and not exists (select 1 from hooks k where k.endpoint_id = p.id)
       and not exists (select 1 from deliveries d where d.endpoint_id = p.id) limit ?2`,
    beforeMs,
    limit,
  );
  for (const row of endpoints) {
    const secrets = db.all("select secret_id from endpoint_secrets where endpoint_id = ?", text(row, "id"));
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

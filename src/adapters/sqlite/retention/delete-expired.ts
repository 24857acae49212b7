import { leastKeyAt } from "../../../domain/ids.ts";
import type { RetentionStore } from "../../../ports/stores/service-store.ts";
import { integer, integerOrNull } from "../../sql/rows.ts";
import type { Row } from "../../sql/rows.ts";
import { deleteUnwatchedCall } from "../calls/watched-calls.ts";
import type { Database } from "../connection/database.ts";
import { refreshLane } from "../deliveries/lanes.ts";
import { deleteUnusedSecrets } from "../registration/secrets.ts";

export const writes = { deleteExpired };

type Retention = Parameters<RetentionStore["deleteExpired"]>[0];

/** Condition that a delivery `d` may still be sent. */
const isOpen = "(d.status = 'pending' or d.next_attempt_at is not null or d.lease_token is not null)";

/** Endpoints have no index on their state or last use, so each run checks the next page of them, from the position kept here. */
const endpointPage = 500;
const positions = new WeakMap<Database, number>();

/**
 * Deletes one small batch of expired rows, in an order that leaves no reference to a deleted row. Every part finds its rows
 * by an index on their age or in a page of bounded size, so that the cost does not follow the number of kept rows.
 */
function deleteExpired(db: Database, request: Retention): { readonly deleted: number; readonly more: boolean } {
  const endpoints = nextEndpoints(db);
  const counts = [
    expireKept(db, request, endpoints),
    deleteWatches(db, request),
    deleteUnwatchedEvents(db, request),
    deleteEndpoints(db, request, endpoints),
    deleteStoredAnswers(db, request),
  ];
  // A full batch may have left rows of the page, so the next run checks it again.
  if (counts[0] !== request.limit && counts[3] !== request.limit) {
    const last = endpoints.length < endpointPage ? undefined : endpoints.at(-1);
    positions.set(db, last === undefined ? -1 : integer(last, "id"));
  }
  return { deleted: counts.reduce((sum, count) => sum + count, 0), more: counts.includes(request.limit) };
}

function nextEndpoints(db: Database): readonly Row[] {
  return db.all("select id, state, since from endpoints where id > ? order by id limit ?", positions.get(db) ?? -1, endpointPage);
}

/**
 * Expires deliveries that were pending for the whole retention at an endpoint that was disabled, or paused by the client, for as
 * long, so that their watches can be deleted.
 */
function expireKept(db: Database, { beforeMs, nowMs, limit }: Retention, endpoints: readonly Row[]): number {
  let expired = 0;
  for (const endpoint of endpoints) {
    if (endpoint["state"] === "enabled" || (integerOrNull(endpoint, "since") ?? 0) >= beforeMs || expired === limit) continue;
    const endpointKey = integer(endpoint, "id");
    const kept = db.all(
      "select id, watch_id from deliveries where endpoint_id = ? and status = 'pending' and id < ? and lease_token is null limit ?",
      endpointKey,
      leastKeyAt(beforeMs),
      limit - expired,
    );
    const count = db.run(
      `update deliveries set status = 'expired', settled_at = ?1, next_attempt_at = null, due_at = null
       where id in (select value from json_each(?2))`,
      nowMs,
      JSON.stringify(kept.map((row) => integer(row, "id"))),
    );
    db.counters.countUnleased(endpointKey, -count);
    expired += count;
    // The next delivery of a lane is due once a paused endpoint is enabled.
    for (const watchKey of new Set(kept.map((row) => integerOrNull(row, "watch_id"))))
      if (watchKey !== null) refreshLane(db, watchKey, endpointKey);
  }
  db.counters.countDeliveries("pending", "expired", expired);
  return expired;
}

/** Deletes watches with their events, and each call with its last watch. */
function deleteWatches(db: Database, { beforeMs, limit }: Retention): number {
  const watches = db.all(
    `select w.id, w.call_id from watches w where w.ended_at < ?1
       and not exists (select 1 from events e join deliveries d on d.event_position = e.position where e.watch_id = w.id and ${isOpen})
     order by w.ended_at limit ?2`,
    beforeMs,
    limit,
  );
  for (const row of watches) {
    db.run("delete from watches where id = ?", integer(row, "id"));
    deleteUnwatchedCall(db, integer(row, "call_id"));
  }
  return watches.length;
}

function deleteUnwatchedEvents(db: Database, { beforeMs, limit }: Retention): number {
  return db.run(
    `delete from events where position in (
       select e.position from events e indexed by events_unwatched where e.watch_id is null and e.created_at < ?1
         and not exists (select 1 from deliveries d where d.event_position = e.position and ${isOpen})
       limit ?2)`,
    beforeMs,
    limit,
  );
}

/** Deletes those of the endpoints that have no references, with the secrets and hosts that only they used. */
function deleteEndpoints(db: Database, { beforeMs, limit }: Retention, endpoints: readonly Row[]): number {
  const [first, last] = [endpoints[0], endpoints.at(-1)];
  if (first === undefined || last === undefined) return 0;
  const unused = db.all(
    `select p.id, p.host_id from endpoints p where p.id between ?3 and ?4 and p.created_at < ?1 and coalesce(p.last_success_at, 0) < ?1
       and not exists (select 1 from watches w where w.endpoint_id = p.id)
       and not exists (select 1 from hooks k where k.endpoint_id = p.id and (k.disabled_at is null or k.disabled_at >= ?1))
       and not exists (select 1 from deliveries d where d.endpoint_id = p.id) limit ?2`,
    beforeMs,
    limit,
    integer(first, "id"),
    integer(last, "id"),
  );
  for (const row of unused) {
    const endpointKey = integer(row, "id");
    const secrets = db.all("select secret_id from endpoint_secrets where endpoint_id = ?", endpointKey);
    db.run("delete from hooks where endpoint_id = ?", endpointKey);
    db.run("delete from endpoints where id = ?", endpointKey);
    deleteUnusedSecrets(
      db,
      secrets.map((secret) => integer(secret, "secret_id")),
    );
    db.run("delete from hosts where id = ?1 and not exists (select 1 from endpoints p where p.host_id = ?1)", integer(row, "host_id"));
  }
  return unused.length;
}

function deleteStoredAnswers(db: Database, { nowMs, limit }: Retention): number {
  return db.run("delete from stored_answers where rowid in (select rowid from stored_answers where expires_at <= ? limit ?)", nowMs, limit);
}

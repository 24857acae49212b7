import { placingKeptMs } from "../../../domain/calls/placing.ts";
import { leastKeyAt } from "../../../domain/ids.ts";
import type { RetentionStore } from "../../../ports/stores/service-store.ts";
import { deleteExpiredSessions } from "../../sql/portal/ended-sessions.ts";
import { deleteOldLinks } from "../../sql/portal/portal-links.ts";
import { deleteOldAudit } from "../../sql/audit/audit.ts";
import { integer, integerOrNull } from "../../sql/rows.ts";
import type { Row } from "../../sql/rows.ts";
import { deleteUnwatchedCall } from "../calls/watched-calls.ts";
import type { Database } from "../connection/database.ts";
import { refreshLane } from "../deliveries/lanes.ts";
import { epochsBefore, isOldEpoch } from "../../sql/retention/feed-epochs.ts";
import { foldCounts } from "./attempt-counts.ts";
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
async function deleteExpired(db: Database, request: Retention): Promise<{ readonly deleted: number; readonly more: boolean }> {
  const endpoints = nextEndpoints(db);
  const counts = [
    expireKept(db, request, endpoints),
    deleteWatches(db, request),
    deleteUnwatchedEvents(db, request),
    deleteEndpoints(db, request, endpoints),
    deleteStoredAnswers(db, request),
    deleteRemovedSources(db, request),
    deletePlacings(db, request),
    await deleteOldAudit(db, request),
    await deleteOldLinks(db, request),
    await deleteExpiredSessions(db, request),
  ];
  deleteEpochs(db, request);
  const hasMoreCounts = foldCounts(db, request);
  // A full batch may have left rows of the page, so the next run checks it again.
  if (counts[0] !== request.limit && counts[3] !== request.limit) {
    const last = endpoints.length < endpointPage ? undefined : endpoints.at(-1);
    positions.set(db, last === undefined ? -1 : integer(last, "id"));
  }
  return { deleted: counts.reduce((sum, count) => sum + count, 0), more: hasMoreCounts || counts.includes(request.limit) };
}

function nextEndpoints(db: Database): readonly Row[] {
  return db.all(
    `select p.id, p.state, p.since, p.held, a.disabled_at from endpoints p join accounts a on a.id = p.account_id
     where p.id > ? order by p.id limit ?`,
    positions.get(db) ?? -1,
    endpointPage,
  );
}

/**
 * Expires deliveries that were pending for the whole retention at an endpoint that was disabled, or paused by the client, or whose
 * account was disabled, for as long, so that their watches can be deleted.
 */
function expireKept(db: Database, { beforeMs, nowMs, limit }: Retention, endpoints: readonly Row[]): number {
  let expired = 0;
  for (const endpoint of endpoints) {
    // A mark above its deliveries decides what is still pending.
    if (
      endpoint["held"] !== 0 ||
      expired === limit ||
      (!hasKept(endpoint, "since", beforeMs) && !hasKept(endpoint, "disabled_at", beforeMs))
    )
      continue;
    const endpointKey = integer(endpoint, "id");
    const kept = db.all(
      "select id, watch_id from deliveries where endpoint_id = ? and status = 'pending' and id < ? and lease_token is null limit ?",
      endpointKey,
      leastKeyAt(beforeMs),
      limit - expired,
    );
    const count = db.run(
      `update deliveries set status = 'expired', settled_at = ?1, next_attempt_at = null, due_at = null, retry_accepted_at = null
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

/** Whether the endpoint, or its account, has sent nothing since before the time. */
function hasKept(endpoint: Row, column: "since" | "disabled_at", beforeMs: number): boolean {
  if (column === "since") return endpoint["state"] !== "enabled" && (integerOrNull(endpoint, "since") ?? 0) < beforeMs;
  return (integerOrNull(endpoint, "disabled_at") ?? Infinity) < beforeMs;
}

/** Number of ended watches that one run checks. */
const watchPage = 500;
/** The last watch that was checked, in the order of their ends. Watches whose deliveries are pending are passed over once a turn. */
const checkedWatches = new WeakMap<Database, { readonly endedAtMs: number; readonly key: number }>();

/** Deletes watches with their events, and each call with its last watch. Checks the next page of those that ended before the time. */
function deleteWatches(db: Database, { beforeMs, limit }: Retention): number {
  const { endedAtMs, key } = checkedWatches.get(db) ?? { endedAtMs: -1, key: -1 };
  const page = db.all(
    `select id, call_id, ended_at, exists (
         select 1 from events e join deliveries d on d.event_position = e.position where e.watch_id = page.id and ${isOpen}) as is_open
     from (
       select * from (select id, call_id, ended_at from watches where ended_at = ?1 and ended_at < ?3 and id > ?2 order by id limit ?4)
       union all
       select * from (select id, call_id, ended_at from watches where ended_at > ?1 and ended_at < ?3 order by ended_at, id limit ?4)
       limit ?4) page`,
    endedAtMs,
    key,
    beforeMs,
    watchPage,
  );
  const deleted = page.filter((row) => row["is_open"] === 0).slice(0, limit);
  for (const row of deleted) {
    noteDeleted(db, "watch_id = ?1", integer(row, "id"));
    db.run("delete from watches where id = ?", integer(row, "id"));
    deleteUnwatchedCall(db, integer(row, "call_id"));
  }
  const last = deleted.length === limit ? deleted.at(-1) : page.length === watchPage ? page.at(-1) : undefined;
  if (last === undefined) checkedWatches.delete(db);
  else checkedWatches.set(db, { endedAtMs: integer(last, "ended_at"), key: integer(last, "id") });
  return deleted.length;
}

function deleteUnwatchedEvents(db: Database, { beforeMs, limit }: Retention): number {
  const found = db.all(
    `select e.position from events e indexed by events_unwatched where e.watch_id is null and e.created_at < ?1
       and not exists (select 1 from deliveries d where d.event_position = e.position and ${isOpen})
     limit ?2`,
    beforeMs,
    limit,
  );
  const positions = JSON.stringify(found.map((row) => integer(row, "position")));
  noteDeleted(db, "position in (select value from json_each(?1))", positions);
  return db.run("delete from events where position in (select value from json_each(?))", positions);
}

/** Notes for each account the newest of the events that are about to be deleted: its feed begins behind that event. */
function noteDeleted(db: Database, events: string, value: number | string): void {
  db.run(
    `insert into feed_starts (account_id, position) select account_id, max(position) from events where ${events} group by account_id
     on conflict (account_id) do update set position = max(position, excluded.position)`,
    value,
  );
}

/** Epochs are few and small, so they do not count as deleted rows. */
function deleteEpochs(db: Database, request: Retention): void {
  db.run(`delete from feed_epochs where ${isOldEpoch}`, epochsBefore(request));
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

/** Deletes sources that were removed before the retention, so that their names are free. */
function deleteRemovedSources(db: Database, { beforeMs }: Retention): number {
  return db.run("delete from sources where removed_at < ?1", beforeMs);
}

/** Deletes placings whose keys have counted long enough. */
function deletePlacings(db: Database, { beforeMs, nowMs, limit }: Retention): number {
  return db.run(
    "delete from placings where id in (select id from placings where id < ? order by id limit ?)",
    leastKeyAt(Math.min(beforeMs, nowMs - placingKeptMs)),
    limit,
  );
}

function deleteStoredAnswers(db: Database, { nowMs, limit }: Retention): number {
  return db.run("delete from stored_answers where rowid in (select rowid from stored_answers where expires_at <= ? limit ?)", nowMs, limit);
}

import { placingKeptMs } from "../../../domain/calls/placing.ts";
import { leastKeyAt } from "../../../domain/ids.ts";
import type { RetentionStore } from "../../../ports/stores/service-store.ts";
import { deleteExpiredSessions, hasExpiredSessions } from "../../sql/portal/ended-sessions.ts";
import { deleteOldLinks, hasOldLinks } from "../../sql/portal/portal-links.ts";
import { deleteOldAudit, hasOldAudit } from "../../sql/audit/audit.ts";
import type { Row } from "../../sql/rows.ts";
import { integer, integerOrNull } from "../../sql/rows.ts";
import type { Database } from "../connection/database.ts";
import type { Transaction } from "../connection/transaction.ts";
import { foldCounts } from "../reading/stats.ts";
import { lockEndpoints, refreshDue } from "../deliveries/due-bounds.ts";
import { replaceLanes } from "../deliveries/lanes.ts";
import { isStatus } from "../reading/page.ts";
import { epochsBefore, isOldEpoch } from "../../sql/retention/feed-epochs.ts";
import { foldAttempts, foldBounds, isFoldDue } from "./attempt-counts.ts";
import { deleteUnusedSecrets } from "../registration/secrets.ts";
import { deleteUnwatchedCalls } from "../calls/watched-calls.ts";

export const composites = { deleteExpired };

type Retention = Parameters<RetentionStore["deleteExpired"]>[0];

const isKeeping = `(p.state <> 'enabled' and coalesce(p.since, 0) < $1
  or p.account_id = any(array(select id from accounts where disabled_at < $1)))`;
const isOpen = `(select 1 from events e join deliveries d on d.event_position = e.position where e.watch_id = w.id
  and (d.status = 'pending' or d.next_attempt_at is not null or d.lease_token is not null) limit 1) is not null`;
const unwatchedEvents = `from events e where e.watch_id is null and e.created_at < $1
  and (select 1 from deliveries d where d.event_position = e.position and (d.status = 'pending' or d.next_attempt_at is not null or d.lease_token is not null) limit 1) is null`;
const isUnused = `p.created_at < $1 and coalesce(p.last_success_at, 0) < $1
  and (select 1 from watches w where w.endpoint_id = p.id limit 1) is null
  and (select 1 from hooks k where k.endpoint_id = p.id and (k.disabled_at is null or k.disabled_at >= $1) limit 1) is null
  and (select 1 from deliveries d where d.endpoint_id = p.id limit 1) is null`;

/** Endpoints have no column for their last use, so each run checks the next page of all endpoints, from the position of this process. */
const endpointPage = 500;
const positions = new WeakMap<Database, number>();
const pageOfEndpoints = `(select array_agg(p.id order by p.id) filter (where ${isUnused}) as unused, max(p.id) as last, count(*) as n
  from (select * from endpoints where id > $2 order by id limit ${endpointPage}) p) page`;

/**
 * Deletes one small batch of expired rows, in an order that leaves no dangling references. Every part finds its rows by an
 * index on their age or in a page of bounded size, so that the cost depends on the deleted rows, not on the kept ones. Costs
 * three statements if nothing has expired.
 */
async function deleteExpired(db: Database, request: Retention): Promise<{ readonly deleted: number; readonly more: boolean }> {
  const after = positions.get(db) ?? -1;
  const due = await db.get(
    `select exists (select 1 from count_changes) as counts, exists (select 1 from feed_epochs where ${isOldEpoch.replace("?1", "$4")}) as epochs,
       exists (select 1 ${unwatchedEvents}) or exists (select 1 from stored_answers where expires_at <= $3)
         or exists (select 1 from sources where removed_at < $1) or exists (select 1 from placings where id < $5)
         or ${hasOldLinks.replace("?1", "$1")} or ${hasOldAudit.replace("?1", "$1")}
         or ${hasExpiredSessions.replace("?1", "$3")} as rows,
       exists (select 1 from endpoints where state <> 'enabled') or exists (select 1 from accounts where disabled_at < $1) as closed,
       exists (select 1 from watches where ended_at < $1) as ended, ${isFoldDue(6)} as attempts, page.*
     from ${pageOfEndpoints}`,
    request.beforeMs,
    after,
    request.nowMs,
    epochsBefore(request),
    oldestKeptPlacing(request),
    ...foldBounds(request),
  );
  const hasMoreAttempts = due?.["attempts"] === true && (await foldAttempts(db, request));
  if (due?.["epochs"] === true) await deleteEpochs(db, request);
  if (due?.["counts"] === true) await foldCounts(db);
  const kept = due?.["closed"] === true ? await findKept(db, request) : [];
  const watches = due?.["ended"] === true ? await findWatches(db, request) : [];
  if (due?.["rows"] !== true && kept.length === 0 && watches.length === 0)
    return summaryOf([await deleteEndpoints(db, request, due)], request, hasMoreAttempts);
  const counts = [
    await db.transaction((tx) => expireKept(tx, request, kept)),
    await db.transaction((tx) => deleteWatches(tx, request, watches)),
    await db.transaction((tx) => deleteUnwatchedEvents(tx, request)),
    await db.transaction((tx) => deleteStoredAnswers(tx, request)),
    await db.transaction((tx) => deleteRemovedSources(tx, request)),
    await db.transaction((tx) => deletePlacings(tx, request)),
    await db.transaction((tx) => deleteOldAudit(tx, request)),
    await db.transaction((tx) => deleteOldLinks(tx, request)),
    await db.transaction((tx) => deleteExpiredSessions(tx, request)),
  ];
  // Deleted watches may have left more endpoints unused.
  counts.push(await deleteEndpoints(db, request, await db.get(`select page.* from ${pageOfEndpoints}`, request.beforeMs, after)));
  return summaryOf(counts, request, hasMoreAttempts);
}

/** SQL query: the next endpoints that are not enabled, or whose account has been disabled since before `$1`. */
const closedEndpoints = (after: string) => `(select * from (
    (select * from endpoints where state <> 'enabled' and id > ${after} order by id limit ${endpointPage})
    union all
    (select p.* from accounts a cross join lateral (
       select * from endpoints where (account_id, id) > (a.id, ${after}) and account_id <= a.id and state = 'enabled' order by account_id, id limit ${endpointPage}) p
     where a.disabled_at < $1)) closed order by id limit ${endpointPage})`;

/** The last endpoint that is not enabled and was checked, by the database of this process. */
const checkedEndpoints = new WeakMap<Database, number>();

/**
 * Finds deliveries that were pending for the whole retention, at the next endpoints that are not enabled. The oldest of an
 * endpoint are read first, so that those that are not old enough cost nothing.
 */
async function findKept(db: Database, { beforeMs, limit }: Retention): Promise<readonly Row[]> {
  const after = checkedEndpoints.get(db) ?? -1;
  const [kept, page] = await Promise.all([
    db.all(
      `select kept.*, p.id as endpoint_id from ${closedEndpoints("$3")} p
       cross join lateral (
         select id, watch_id, created_at from deliveries d where (d.endpoint_id, d.status, d.id) > (p.id, 'pending', -1)
           and (d.endpoint_id, d.status) <= (p.id, 'pending') order by d.endpoint_id, d.status, d.id limit $2) kept
       where ${isKeeping} and p.held = 0 and kept.created_at < $1 limit $2`,
      beforeMs,
      limit,
      after,
    ),
    db.get(`select max(id) as last, count(*) as n from ${closedEndpoints("$2")} page`, beforeMs, after),
  ]);
  if (kept.length < limit) checkedEndpoints.set(db, page === undefined || integer(page, "n") < endpointPage ? -1 : integer(page, "last"));
  return kept;
}

/** Number of ended watches that one run checks. */
const watchPage = 500;
/** The last watch that was checked, in the order of their ends. Watches whose deliveries are pending are passed over once a turn. */
const checkedWatches = new WeakMap<Database, { readonly endedAtMs: number; readonly key: number }>();

/** Finds watches to delete on the next page of those that ended before the time. */
async function findWatches(db: Database, { beforeMs, limit }: Retention): Promise<readonly Row[]> {
  const { endedAtMs, key } = checkedWatches.get(db) ?? { endedAtMs: -1, key: -1 };
  const page = await db.all(
    `select w.id, w.call_id, w.ended_at, ${isOpen} as is_open from (
       select id, call_id, ended_at from watches where (ended_at, id) > ($2, $3) and ended_at < $1 order by ended_at, id limit ${watchPage}) w`,
    beforeMs,
    endedAtMs,
    key,
  );
  const found = page.filter((row) => row["is_open"] === false).slice(0, limit);
  const last = found.length === limit ? found.at(-1) : page.length === watchPage ? page.at(-1) : undefined;
  if (last === undefined) checkedWatches.delete(db);
  else checkedWatches.set(db, { endedAtMs: integer(last, "ended_at"), key: integer(last, "id") });
  return found;
}

function summaryOf(
  counts: readonly number[],
  { limit }: Retention,
  hasMore: boolean,
): { readonly deleted: number; readonly more: boolean } {
  return { deleted: counts.reduce((sum, count) => sum + count, 0), more: hasMore || counts.includes(limit) };
}

/**
 * Expires deliveries that were pending for the whole retention at an endpoint that was disabled, or paused by the client, or whose
 * account was disabled, for as long, so that their watches can be deleted.
 */
async function expireKept(tx: Transaction, { beforeMs, nowMs }: Retention, found: readonly Row[]): Promise<number> {
  if (found.length === 0) return 0;
  const endpointKeys = [...new Set(found.map((row) => integer(row, "endpoint_id")))];
  const watchKeys = [...new Set(found.map((row) => integerOrNull(row, "watch_id")).filter((key) => key !== null))];
  await tx.run("select 1 from watches where id = any($1) order by id for no key update", watchKeys);
  await lockEndpoints(tx, endpointKeys);
  const count = await tx.run(
    `update deliveries d set status = 'expired', settled_at = $2, next_attempt_at = null, due_at = null, retry_accepted_at = null
     where d.id = any($3) and ${isStatus("d.status", "pending")} and d.lease_token is null
       and (select ${isKeeping} from endpoints p where p.id = d.endpoint_id)`,
    beforeMs,
    nowMs,
    found.map((row) => integer(row, "id")),
  );
  // The next delivery of a lane is due once a paused endpoint is enabled.
  await replaceLanes(tx, watchKeys, endpointKeys);
  await refreshDue(tx, endpointKeys);
  return count;
}

/** Deletes watches with their events, and their calls if no other watch is left. */
async function deleteWatches(tx: Transaction, { beforeMs }: Retention, found: readonly Row[]): Promise<number> {
  if (found.length === 0) return 0;
  const callKeys = [...new Set(found.map((row) => integer(row, "call_id")))];
  const watchKeys = found.map((row) => integer(row, "id"));
  await Promise.all([
    tx.run("select 1 from calls where id = any($1) order by id for update", callKeys),
    tx.run("select 1 from watches where id = any($1) order by id for update", watchKeys),
  ]);
  // Deliveries may have been recovered since the read above, so the deletion checks again that none is pending.
  const deleted = await tx.get(
    `with gone as (delete from watches where id = any(array(select w.id from watches w where w.id = any($2) and w.ended_at < $1 and not (${isOpen}))) returning id),
       noted as (${noteDeleted("gone g join events e on e.watch_id = g.id")})
     select count(*) as n from gone`,
    beforeMs,
    watchKeys,
  );
  await deleteUnwatchedCalls(tx, callKeys);
  return deleted === undefined ? 0 : integer(deleted, "n");
}

/**
 * SQL statement that notes for each account the newest of the deleted events: its feed begins behind that event. Part of the
 * statement that deletes them, which still sees them.
 */
function noteDeleted(deletedEvents: string): string {
  return `insert into feed_starts as s (account_id, feed_order, position)
    select distinct on (e.account_id) e.account_id, e.feed_order, e.position from ${deletedEvents}
    order by e.account_id, e.feed_order desc, e.position desc
    on conflict (account_id) do update set feed_order = excluded.feed_order, position = excluded.position
    where (excluded.feed_order, excluded.position) > (s.feed_order, s.position)`;
}

async function deleteUnwatchedEvents(tx: Transaction, { beforeMs, limit }: Retention): Promise<number> {
  const deleted = await tx.get(
    `with gone as (delete from events where position = any(array(select e.position ${unwatchedEvents} limit $2))
         returning account_id, feed_order, position),
       noted as (${noteDeleted("gone e")})
     select count(*) as n from gone`,
    beforeMs,
    limit,
  );
  return deleted === undefined ? 0 : integer(deleted, "n");
}

/** Epochs are few and small, so they do not count as deleted rows. */
async function deleteEpochs(db: Database, request: Retention): Promise<void> {
  await db.run(`delete from feed_epochs where ${isOldEpoch}`, epochsBefore(request));
}

/** Deletes the unused endpoints of the page, with the secrets and the hosts that only they used. */
async function deleteEndpoints(db: Database, { beforeMs, limit }: Retention, page: Row | undefined): Promise<number> {
  const unused = (page?.["unused"] ?? []) as readonly number[];
  const endpointKeys = unused.slice(0, limit);
  const isLastPage = page === undefined || integer(page, "n") < endpointPage;
  positions.set(db, (unused.length > limit ? endpointKeys.at(-1) : isLastPage ? null : integerOrNull(page, "last")) ?? -1);
  return endpointKeys.length === 0 ? 0 : db.transaction((tx) => deleteUnused(tx, beforeMs, endpointKeys));
}

async function deleteUnused(tx: Transaction, beforeMs: number, endpointKeys: readonly number[]): Promise<number> {
  // Waits for transactions that are about to refer to one of these endpoints; they hold the lock of the endpoint.
  // `isUnused` is evaluated after the wait.
  await tx.run("select 1 from endpoints where id = any($1) order by id for update", endpointKeys);
  const secrets = await tx.all("select secret_id from endpoint_secrets where endpoint_id = any($1)", endpointKeys);
  await tx.run(
    `delete from hooks k using endpoints p where p.id = k.endpoint_id and p.id = any($2) and ${isUnused}`,
    beforeMs,
    endpointKeys,
  );
  const deleted = await tx.all(`delete from endpoints p where p.id = any($2) and ${isUnused} returning host_id`, beforeMs, endpointKeys);
  await deleteUnusedSecrets(
    tx,
    secrets.map((row) => integer(row, "secret_id")),
  );
  const hostIds = deleted.map((row) => integer(row, "host_id"));
  await tx.run("select 1 from hosts where id = any($1) order by id for update", hostIds);
  await tx.run("delete from hosts h where h.id = any($1) and (select 1 from endpoints p where p.host_id = h.id limit 1) is null", hostIds);
  return deleted.length;
}

/** Deletes sources that were removed before the retention, so that their names are free. */
async function deleteRemovedSources(tx: Transaction, { beforeMs }: Retention): Promise<number> {
  return tx.run("delete from sources where removed_at < $1", beforeMs);
}

/** Deletes placings whose keys have counted long enough. */
async function deletePlacings(tx: Transaction, request: Retention): Promise<number> {
  return tx.run(
    "delete from placings where id = any(array(select id from placings where id < $1 order by id limit $2))",
    oldestKeptPlacing(request),
    request.limit,
  );
}

function oldestKeptPlacing({ beforeMs, nowMs }: Retention): number {
  return leastKeyAt(Math.min(beforeMs, nowMs - placingKeptMs));
}

async function deleteStoredAnswers(tx: Transaction, { nowMs, limit }: Retention): Promise<number> {
  return tx.run(
    "delete from stored_answers where id = any(array(select id from stored_answers where expires_at <= $1 limit $2))",
    nowMs,
    limit,
  );
}

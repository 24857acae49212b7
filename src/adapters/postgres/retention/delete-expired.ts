import type { RetentionStore } from "../../../ports/stores/service-store.ts";
import type { Row } from "../../sql/rows.ts";
import { integer, integerOrNull } from "../../sql/rows.ts";
import type { Database } from "../connection/database.ts";
import type { Transaction } from "../connection/transaction.ts";
import { foldCounts } from "../reading/stats.ts";
import { lockEndpoints, refreshDue } from "../deliveries/due-bounds.ts";
import { replaceLanes } from "../deliveries/lanes.ts";
import { isStatus } from "../reading/page.ts";
import { deleteUnusedSecrets } from "../registration/secrets.ts";
import { deleteUnwatchedCalls } from "../calls/watched-calls.ts";

export const composites = { deleteExpired };

type Retention = Parameters<RetentionStore["deleteExpired"]>[0];

const isKeeping = "p.state <> 'enabled' and coalesce(p.since, 0) < $1";
const keptSince = `from deliveries d where d.endpoint_id = p.id and d.status = 'pending' and d.created_at < $1 and d.lease_token is null`;
const endedWatches = `from watches w where w.ended_at < $1
  and (select 1 from events e join deliveries d on d.event_position = e.position where e.watch_id = w.id and (d.status = 'pending' or d.next_attempt_at is not null or d.lease_token is not null) limit 1) is null`;
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
 * index on their age, so that the cost depends on the deleted rows, not on the kept ones. Costs one statement if nothing has
 * expired.
 */
async function deleteExpired(db: Database, request: Retention): Promise<{ readonly deleted: number; readonly more: boolean }> {
  const after = positions.get(db) ?? -1;
  const due = await db.get(
    `select exists (select 1 from count_changes) as counts,
       exists (select 1 from endpoints p where ${isKeeping} and exists (select 1 ${keptSince})) or exists (select 1 ${endedWatches})
         or exists (select 1 ${unwatchedEvents}) or exists (select 1 from stored_answers where expires_at <= $3) as rows, page.*
     from ${pageOfEndpoints}`,
    request.beforeMs,
    after,
    request.nowMs,
  );
  if (due?.["counts"] === true) await foldCounts(db);
  if (due?.["rows"] !== true) return summaryOf([await deleteEndpoints(db, request, due)], request);
  const counts: number[] = [];
  for (const part of [expireKept, deleteWatches, deleteUnwatchedEvents, deleteStoredAnswers])
    counts.push(await db.transaction((tx) => part(tx, request)));
  // Deleted watches may have left more endpoints unused.
  counts.push(await deleteEndpoints(db, request, await db.get(`select page.* from ${pageOfEndpoints}`, request.beforeMs, after)));
  return summaryOf(counts, request);
}

function summaryOf(counts: readonly number[], { limit }: Retention): { readonly deleted: number; readonly more: boolean } {
  return { deleted: counts.reduce((sum, count) => sum + count, 0), more: counts.includes(limit) };
}

/**
 * Expires deliveries that were pending for the whole retention at an endpoint that was disabled, or paused by the client, for as
 * long, so that their watches can be deleted.
 */
async function expireKept(tx: Transaction, { beforeMs, nowMs, limit }: Retention): Promise<number> {
  const found = await tx.all(
    `select kept.*, p.id as endpoint_id from endpoints p cross join lateral (select d.id, d.watch_id ${keptSince} limit $2) kept
     where ${isKeeping} limit $2`,
    beforeMs,
    limit,
  );
  const endpointKeys = [...new Set(found.map((row) => integer(row, "endpoint_id")))];
  const watchKeys = [...new Set(found.map((row) => integerOrNull(row, "watch_id")).filter((key) => key !== null))];
  await tx.run("select 1 from watches where id = any($1) order by id for no key update", watchKeys);
  await lockEndpoints(tx, endpointKeys);
  const count = await tx.run(
    `update deliveries d set status = 'expired', settled_at = $2, next_attempt_at = null, due_at = null
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
async function deleteWatches(tx: Transaction, { beforeMs, limit }: Retention): Promise<number> {
  const found = await tx.all(`select w.id, w.call_id ${endedWatches} order by w.ended_at limit $2`, beforeMs, limit);
  const callKeys = [...new Set(found.map((row) => integer(row, "call_id")))];
  const watchKeys = found.map((row) => integer(row, "id"));
  await Promise.all([
    tx.run("select 1 from calls where id = any($1) order by id for update", callKeys),
    tx.run("select 1 from watches where id = any($1) order by id for update", watchKeys),
  ]);
  // Deliveries may have been recovered since the read above, so the deletion checks again that none is pending.
  const deleted = await tx.run(
    `delete from watches where id = any(array(select w.id ${endedWatches} and w.id = any($2)))`,
    beforeMs,
    watchKeys,
  );
  await deleteUnwatchedCalls(tx, callKeys);
  return deleted;
}

async function deleteUnwatchedEvents(tx: Transaction, { beforeMs, limit }: Retention): Promise<number> {
  return tx.run(`delete from events where position = any(array(select e.position ${unwatchedEvents} limit $2))`, beforeMs, limit);
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

async function deleteStoredAnswers(tx: Transaction, { nowMs, limit }: Retention): Promise<number> {
  return tx.run(
    "delete from stored_answers where id = any(array(select id from stored_answers where expires_at <= $1 limit $2))",
    nowMs,
    limit,
  );
}

import { decodeId } from "../../../domain/ids.ts";
import type { CallStore, WatchedCall } from "../../../ports/stores/call-store.ts";
import { integer, watchedCallOf } from "../../sql/rows.ts";
import { isOfEnabled } from "../accounts/disabled-accounts.ts";
import type { Database } from "../connection/database.ts";
import type { Queries } from "../connection/queries.ts";
import type { Transaction } from "../connection/transaction.ts";

export const composites = { loadWatchedCalls };
export const ownerWrites = { parkCalls };

/** Lists the watched calls that this instance owns. */
async function loadWatchedCalls(db: Database, page: Parameters<CallStore["loadWatchedCalls"]>[0]): Promise<readonly WatchedCall[]> {
  return db.owner.token === null ? [] : listOwnedCalls(db, db.owner.token, page);
}

// Ids sort by time, so the first is the oldest watch and the last the youngest. The conditions are ranges and the orders name
// all columns, because with an equation the planner may read all ids of the table in order.
const select = `
  select c.id, c.source_name, c.scope, c.call_sid, c.status, c.reason, c.details, c.terminal, c.observed_at, c.last_good_poll_at, c.version, c.created_at,
    c.unnotified_from, c.mark, o.account_id, o.created_at as oldest_watch_at, y.created_at as youngest_watch_at, d.expires_at as earliest_deadline_at
  from calls c
    cross join lateral (select account_id, created_at from watches where (call_id, id) >= (c.id, 0) and call_id <= c.id and status = 'active' and ${isOfEnabled("account_id")}
      order by call_id, id limit 1) o
    cross join lateral (select created_at from watches where (call_id, id) <= (c.id, ${Number.MAX_SAFE_INTEGER}) and call_id >= c.id and status = 'active' and ${isOfEnabled("account_id")}
      order by call_id desc, id desc limit 1) y
    cross join lateral (select expires_at from watches where (call_id, expires_at) >= (c.id, 0) and call_id <= c.id and status = 'active' and ${isOfEnabled("account_id")}
      order by call_id, expires_at limit 1) d
  where true`;

/** Reads calls with the facts of their active watches, each from the end of an index, in the order of ids. Leaves out calls without an active watch. */
export async function readWatchedCalls(db: Queries, callKeys: readonly number[]): Promise<readonly WatchedCall[]> {
  const rows = await db.all(`${select} and c.id = any($1) order by c.id`, callKeys);
  return rows.map(watchedCallOf);
}

/** Stops polling those of the calls that this instance owns and that disabled accounts alone watch, and returns the others. */
async function parkCalls(tx: Transaction, token: number, calls: Parameters<CallStore["parkCalls"]>[0]): Promise<readonly WatchedCall[]> {
  const callKeys = calls.map(({ callId }) => decodeId(callId));
  const owned = await tx.all("select id from calls where id = any($1) and owner_token = $2 order by id for no key update", callKeys, token);
  const ownedKeys = owned.map((row) => integer(row, "id"));
  const watched = await readWatchedCalls(tx, ownedKeys);
  const parked = await releaseUnwatched(tx, ownedKeys, watched);
  await tx.run(
    `update calls c set last_good_poll_at = coalesce(u.last_good_poll_at, c.last_good_poll_at)
     from unnest($1::bigint[], $2::bigint[]) as u(id, last_good_poll_at) where c.id = u.id and c.id = any($3)`,
    callKeys,
    calls.map(({ lastGoodPollAtMs }) => lastGoodPollAtMs),
    parked,
  );
  return watched;
}

/** Releases those of these locked calls that are not among the watched ones. Returns their keys. */
export async function releaseUnwatched(
  tx: Transaction,
  callKeys: readonly number[],
  watched: readonly WatchedCall[],
): Promise<readonly number[]> {
  const kept = new Set(watched.map(({ callId }) => decodeId(callId)));
  const unwatched = callKeys.filter((key) => !kept.has(key));
  if (unwatched.length > 0)
    await tx.run("update calls set watched = false, owner_token = null, touched_at = null where id = any($1)", unwatched);
  return unwatched;
}

/** Reads one page of the calls that an instance owns, in the order of ids. */
async function listOwnedCalls(
  db: Queries,
  token: number,
  page: { readonly afterCallId: string | null; readonly limit: number },
): Promise<readonly WatchedCall[]> {
  const rows = await db.all(
    `${select} and c.id = any(array(select id from calls where watched and owner_token = $1 and id > $2 order by id limit $3)) order by c.id`,
    token,
    page.afterCallId === null ? -1 : decodeId(page.afterCallId),
    page.limit,
  );
  return rows.map(watchedCallOf);
}

/** Deletes the given calls that have no watch left. */
export async function deleteUnwatchedCalls(db: Queries, callKeys: readonly number[]): Promise<void> {
  await db.run("delete from calls c where c.id = any($1) and (select 1 from watches w where w.call_id = c.id limit 1) is null", callKeys);
}

/**
 * Updates these locked calls after some of their watches ended: a call without an active watch is not polled any more. A
 * call of this instance is released here. A call of another instance is marked as touched, and its owner releases it.
 */
export async function settleWatching(db: Queries, token: number | null, callKeys: readonly number[]): Promise<void> {
  await db.run(
    `update calls c set
       watched = c.watched and active.one is not null,
       owner_token = case when active.one is null and (c.owner_token = $2 or i.token is null) then null else c.owner_token end,
       touched_at = case
         when i.token is not null and c.owner_token is distinct from $2 then (extract(epoch from clock_timestamp()) * 1000)::bigint
         when i.token is not null and active.one is not null then c.touched_at end
     from unnest($1::bigint[]) as changed(id)
     left join lateral (select 1 as one from watches w where w.call_id = changed.id and w.status = 'active' and ${isOfEnabled("w.account_id")} limit 1) active on true
     left join calls o on o.id = changed.id left join instances i on i.token = o.owner_token
     where c.id = changed.id`,
    callKeys,
    token,
  );
}

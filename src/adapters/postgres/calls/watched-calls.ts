import { decodeId } from "../../../domain/ids.ts";
import type { CallStore, WatchedCall } from "../../../ports/stores/call-store.ts";
import { watchedCallOf } from "../../sql/rows.ts";
import type { Database } from "../connection/database.ts";
import type { Queries } from "../connection/queries.ts";

export const composites = { loadWatchedCalls };

/** Lists the watched calls that this instance owns. */
async function loadWatchedCalls(db: Database, page: Parameters<CallStore["loadWatchedCalls"]>[0]): Promise<readonly WatchedCall[]> {
  return db.owner.token === null ? [] : listOwnedCalls(db, db.owner.token, page);
}

// Ids sort by time, so the first is the oldest watch.
const select = `
  select c.id, c.source_name, c.scope, c.call_sid, c.status, c.reason, c.terminal, c.observed_at, c.last_good_poll_at, c.version, c.created_at, w.*
  from calls c cross join lateral (
    select (array_agg(account_id order by id))[1] as account_id, min(created_at) as oldest_watch_at,
      max(created_at) as youngest_watch_at, min(expires_at) as earliest_deadline_at,
      min(sequence) as least_sequence
    from watches where call_id = c.id and status = 'active') w
  where w.account_id is not null`;

/** Reads calls with a summary of their active watches, in the order of ids. Leaves out calls without an active watch. */
export async function readWatchedCalls(db: Queries, callKeys: readonly number[]): Promise<readonly WatchedCall[]> {
  const rows = await db.all(`${select} and c.id = any($1) order by c.id`, callKeys);
  return rows.map(watchedCallOf);
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
     left join lateral (select 1 as one from watches w where w.call_id = changed.id and w.status = 'active' limit 1) active on true
     left join calls o on o.id = changed.id left join instances i on i.token = o.owner_token
     where c.id = changed.id`,
    callKeys,
    token,
  );
}

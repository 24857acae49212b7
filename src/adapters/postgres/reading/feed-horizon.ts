import { setTimeout as sleep } from "node:timers/promises";
import type { Database } from "../connection/database.ts";
import { integer, integerOrNull } from "../../sql/rows.ts";

/*
 * Events are shown in the order of the transactions that wrote them, and within one by position. The number of a
 * transaction says when it began to write, not when it committed, so an event may be committed while an earlier one is
 * still to come: nothing is shown at or above the oldest transaction that is still running. Whatever is below it has
 * ended, and later ones are numbered above it. A transaction that somebody keeps open in this database delays the feed for
 * as long; that is the price of needing no lock. One in another database of the server does not delay who reads the feed.
 */

/** Below it the feed is complete: no event can appear there any more. */
export const feedHorizon = "(select base from feed_base) + pg_snapshot_xmin(pg_current_snapshot())::text::bigint";

/** The `feed_order` of what this transaction writes. */
export const feedOrder = "(select base from feed_base) + pg_current_xact_id()::text::bigint";

/**
 * A copy of a database restored into another server meets that server's transaction numbers, which may be smaller than
 * those its events bear: new events would be shown among old ones, or not for a long time. The base makes up for it. Run
 * at every start, under the lock of the migrations.
 */
export const alignFeed = `
  update feed_base set base = base + behind.n from (
       select max(feed_order) + 1 - ((select base from feed_base) + pg_snapshot_xmax(pg_current_snapshot())::text::bigint) as n
       from (select feed_order from events order by position desc limit 10000) newest) behind
     where behind.n > 0`;

/**
 * The same without transactions of other databases, which write no events here: those whose number is locked by a
 * connection to one. Whose lock is not there (not yet, or no more) counts as ours. Dearer, so only asked for when the
 * other hides something.
 */
const ownHorizon = `
  select (select base from feed_base) + least(
    pg_snapshot_xmax(now.snapshot)::text::bigint,
    (select min(running.id::text::bigint) from pg_snapshot_xip(now.snapshot) as running(id)
     where not exists (
       select 1 from pg_locks l join pg_stat_activity a on a.pid = l.pid
       where l.locktype = 'transactionid' and l.mode = 'ExclusiveLock' and l.granted and l.transactionid = running.id::xid
         and a.datid <> (select oid from pg_database where datname = current_database())))) as horizon
  from (select pg_current_snapshot() as snapshot) now`;

/**
 * The horizon, above every event of the account that is committed now: the transactions that hide one are nearly over.
 * Where one is not (somebody keeps it open) the horizon as it is; the reader comes again.
 */
export async function horizonAfterNewest(db: Database, accountId: string): Promise<number> {
  const giveUpAtMs = performance.now() + db.feedLingerMs;
  const row = await db.get(
    `select ${feedHorizon} as horizon,
       (select e.feed_order from events e where e.account_id = $1 order by e.feed_order desc, e.position desc limit 1) as newest`,
    accountId,
  );
  if (row === undefined) throw new Error("no row of a select without a table");
  const newest = integerOrNull(row, "newest") ?? 0;
  let horizon = integer(row, "horizon");
  for (let waitMs = 1; horizon <= newest; waitMs = Math.min(waitMs * 2, 50)) {
    horizon = integer((await db.get(ownHorizon)) ?? row, "horizon");
    if (performance.now() >= giveUpAtMs) break;
    if (horizon <= newest) await sleep(waitMs);
  }
  return horizon;
}

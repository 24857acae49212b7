import { setTimeout as sleep } from "node:timers/promises";
import type { Database } from "../database.ts";
import { integer, integerOrNull } from "./rows.ts";

/*
 * Events are shown in the order of the transactions that wrote them, and within one by position. The number of a
 * transaction says when it began to write, not when it committed, so an event may be committed while an earlier one is
 * still to come: nothing is shown at or above the oldest transaction that is still running. Whatever is below it has
 * ended, and later ones are numbered above it. A transaction that somebody else keeps open on the same server delays the
 * feed for as long; that is the price of needing no lock.
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
 * The horizon, above every event of the account that is committed now: the transactions that hide one are nearly over.
 * Where one is not (somebody keeps it open) the horizon as it is; the reader comes again.
 */
export async function horizonAfterNewest(db: Database, accountId: string): Promise<number> {
  const giveUpAtMs = performance.now() + db.feedPatienceMs;
  const row = await db.get(
    `select ${feedHorizon} as horizon,
       (select e.feed_order from events e where e.account_id = $1 order by e.feed_order desc, e.position desc limit 1) as newest`,
    accountId,
  );
  if (row === undefined) throw new Error("no row of a select without a table");
  const newest = integerOrNull(row, "newest") ?? 0;
  let horizon = integer(row, "horizon");
  let waitMs = 1;
  while (horizon <= newest && performance.now() < giveUpAtMs) {
    await sleep(waitMs);
    waitMs = Math.min(waitMs * 2, 50);
    horizon = integer((await db.get(`select ${feedHorizon} as horizon`)) ?? row, "horizon");
  }
  return horizon;
}

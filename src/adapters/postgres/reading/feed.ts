import { setTimeout as sleep } from "node:timers/promises";
import { decodeId } from "../../../domain/ids.ts";
import type { EventView, FeedQuery } from "../../../ports/stores/read-store.ts";
import { integer, integerOrNull } from "../../sql/rows.ts";
import type { Row } from "../../sql/rows.ts";
import { decodePairCursor, encodeCursor } from "../../sql/cursor.ts";
import { lastOrderBefore } from "../../sql/reading/events.ts";
import type { Database } from "../connection/database.ts";
import { findEvents } from "./positions.ts";
import type { FeedKey } from "./positions.ts";
import { readEventViews } from "./selects.ts";

export const composites = { readFeed };

/*
 * The feed shows events in the order of the transactions that wrote them, and within a transaction by position. The id of a
 * transaction reflects when it began to write, not when it committed, so an event may be committed while an earlier one is
 * not yet. The feed therefore shows no event at or above the oldest running transaction: all transactions below it have
 * ended, and later ones get higher ids. A transaction that stays open in this database delays the feed for as long; in
 * return the feed needs no lock. A transaction in another database of the server does not delay readers of the feed.
 */

/** SQL expression: the `feed_order` below which the feed is complete, because no event can appear there any more. */
export const feedHorizon = "(select base from feed_base) + pg_snapshot_xmin(pg_current_snapshot())::text::bigint";

/** SQL expression: the `feed_order` of events that this transaction writes. */
export const feedOrder = "(select base from feed_base) + pg_current_xact_id()::text::bigint";

/**
 * SQL statement that raises the base of `feed_order`. A database restored into another server meets that server's transaction
 * ids, which may be smaller than those of its events: new events would appear among old ones, or not for a long time. Runs at
 * every start, under the lock of the migrations.
 */
export const alignFeed = `
  update feed_base set base = base + behind.n from (
       select max(feed_order) + 1 - ((select base from feed_base) + pg_snapshot_xmax(pg_current_snapshot())::text::bigint) as n
       from (select feed_order from events order by position desc limit 10000) newest) behind
     where behind.n > 0`;

/**
 * SQL query: the same horizon without transactions of other databases, which write no events here. A transaction belongs to
 * another database if a connection to that database holds the lock on its id; one whose lock is missing counts as local.
 * Costs more, so it is used only if `feedHorizon` hides an event.
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
 * Returns the horizon once it is above every committed event of the account. Waits up to `feedLingerMs`, because the
 * transactions that hide an event usually end soon. If one stays open, returns the current horizon and a later read
 * continues from there.
 */
async function horizonAfterNewest(db: Database, accountKey: number): Promise<number> {
  const giveUpAtMs = performance.now() + db.feedLingerMs;
  const row = await db.get(
    `select ${feedHorizon} as horizon,
       (select e.feed_order from events e where e.account_id = $1 order by e.feed_order desc, e.position desc limit 1) as newest`,
    accountKey,
  );
  if (row === undefined) throw new Error("a select without a table returned no row");
  const newest = integerOrNull(row, "newest") ?? 0;
  let horizon = integer(row, "horizon");
  for (let waitMs = 1; horizon <= newest; waitMs = Math.min(waitMs * 2, 50)) {
    horizon = integer((await db.get(ownHorizon)) ?? row, "horizon");
    if (performance.now() >= giveUpAtMs) break;
    if (horizon <= newest) await sleep(waitMs);
  }
  return horizon;
}

/** SQL expression: the position of the newest event below the horizon; "0.0" if there is none. */
export const newestInFeed = `coalesce(
  (select feed_order || '.' || position from events where feed_order < ${feedHorizon} order by feed_order desc, position desc limit 1), '0.0')`;

export function feedPositionOf(row: Row): string {
  return `${integer(row, "feed_order")}.${integer(row, "position")}`;
}

export function decodeFeedPosition(text: string): readonly [order: number, position: number] {
  const [order = 0, position = 0] = text.split(".").map(Number);
  return [order, position];
}

/** Reads events in the order of the feed, below the horizon. The cursor is the last (feed_order, position) passed. */
async function readFeed(db: Database, query: FeedQuery): Promise<{ readonly data: readonly EventView[]; readonly nextCursor: string }> {
  const { sinceMs, callSid, types, orTerminal, limit } = query;
  const accountKey = decodeId(query.accountId);
  const cursor: FeedKey = query.cursor === null ? [0, 0] : decodePairCursor(query.cursor);
  // Read before the events: later commits appear only above the horizon.
  const horizon = await horizonAfterNewest(db, accountKey);
  const since: FeedKey = sinceMs === null ? [0, 0] : [await lastOrderBefore(db, "feed_order", sinceMs), 0];
  const rows = await findEvents(db, {
    accountKey,
    after: laterOf(cursor, since),
    before: horizon,
    // A call has few events.
    few: callSid !== null,
    conditions: [
      ["e.created_at >= ?", sinceMs],
      ["e.watch_id = any(array(select w.id from calls c join watches w on w.call_id = c.id where c.call_sid = ?))", callSid],
    ],
    types,
    orTerminal,
    order: "asc",
    limit,
  });
  const last = rows.at(-1);
  const isFull = rows.length === limit && last !== undefined;
  // A page that is not full has passed all events of the account. Events of other accounts must not move its cursor.
  const next = isFull ? feedKeyOf(last) : laterOf(cursor, feedKeyOf(await findNewest(db, accountKey, horizon)));
  return { data: await readEventViews(db, rows), nextCursor: encodeCursor(next.join(".")) };
}

function feedKeyOf(row: Row | undefined): FeedKey {
  return row === undefined ? [0, 0] : [integer(row, "feed_order"), integer(row, "position")];
}

async function findNewest(db: Database, accountKey: number, horizon: number): Promise<Row | undefined> {
  return db.get(
    "select feed_order, position from events where account_id = $1 and feed_order < $2 order by feed_order desc, position desc limit 1",
    accountKey,
    horizon,
  );
}

function laterOf(a: FeedKey, b: FeedKey): FeedKey {
  return a[0] > b[0] || (a[0] === b[0] && a[1] > b[1]) ? a : b;
}

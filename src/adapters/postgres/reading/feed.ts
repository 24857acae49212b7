import { setTimeout as sleep } from "node:timers/promises";
import { CursorGoneError } from "../../../domain/errors.ts";
import { comparePlaces, feedBegin, isCursorGood, laterPlace, latestCursor } from "../../../domain/events/feed-place.ts";
import type { CursorFacts, FeedPlace } from "../../../domain/events/feed-place.ts";
import { decodeId } from "../../../domain/ids.ts";
import type { FeedPage, FeedQuery } from "../../../ports/stores/read-store.ts";
import { integer, integerOrNull, text } from "../../sql/rows.ts";
import type { Row } from "../../sql/rows.ts";
import { decodeFeedCursor, encodeFeedCursor } from "../../sql/feed-cursor.ts";
import { clockSlackMs, isAboutCall } from "../../sql/reading/events.ts";
import { readMarks } from "../../sql/marks/mark-rows.ts";
import { purgedOf } from "../../sql/marks/seen-rows.ts";
import type { Database } from "../connection/database.ts";
import type { Queries } from "../connection/queries.ts";
import { findEvents } from "./positions.ts";
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

/** SQL expression: the current epoch, in hexadecimal. */
const currentEpoch = "(select encode(epoch, 'hex') from feed_epochs order by id desc limit 1)";

/** SQL expression: the `feed_order` of events that this transaction writes. */
export const feedOrder = "(select base from feed_base) + pg_current_xact_id()::text::bigint";

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
         and a.datid <> (select oid from pg_database where datname = current_database())))) as horizon, ${currentEpoch} as epoch
  from (select pg_current_snapshot() as snapshot) now`;

/** Where a read of the feed begins and ends. */
type FeedSpan = {
  /** Current epoch when `horizon` was read: an epoch that is not visible yet begins at or above the horizon. */
  readonly epoch: string;
  readonly horizon: number;
  readonly after: FeedPlace;
};

/**
 * Returns the span of a read, once its horizon is above every committed event of the account. Waits up to `feedLingerMs`,
 * because the transactions that hide an event usually end soon. If one stays open, returns the current horizon and a later
 * read continues from there. Throws `CursorGoneError`.
 */
async function spanOf(db: Database, accountKey: number, given: string | null): Promise<FeedSpan> {
  const giveUpAtMs = performance.now() + db.feedLingerMs;
  const cursor = given === null || given === latestCursor ? null : decodeFeedCursor(given);
  const row = await db.get(
    `select ${feedHorizon} as horizon, ${currentEpoch} as epoch, c.id as cursor_epoch, n.feed_order as next_order, n.first_position as next_position,
       s.feed_order as deleted_order, s.position as deleted_position,
       (select e.feed_order from events e where e.account_id = $1 order by e.feed_order desc, e.position desc limit 1) as newest
     from (select 1) one left join feed_epochs c on c.epoch = decode($2, 'hex')
       left join lateral (select * from feed_epochs where id > c.id order by id limit 1) n on true
       left join feed_starts s on s.account_id = $1`,
    accountKey,
    cursor?.epoch ?? "",
  );
  if (row === undefined) throw new Error("a select without a table returned no row");
  const deletedTo = placeOf(row, "deleted_order", "deleted_position") ?? feedBegin;
  const facts: CursorFacts = {
    isEpochKnown: row["cursor_epoch"] !== null,
    nextEpochAt: placeOf(row, "next_order", "next_position"),
    deletedTo,
  };
  if (cursor !== null && !isCursorGood(cursor, facts)) throw new CursorGoneError();
  const newest = integerOrNull(row, "newest") ?? 0;
  let shown = row;
  for (let waitMs = 1; integer(shown, "horizon") <= newest; waitMs = Math.min(waitMs * 2, 50)) {
    shown = (await db.get(ownHorizon)) ?? row;
    if (performance.now() >= giveUpAtMs) break;
    if (integer(shown, "horizon") <= newest) await sleep(waitMs);
  }
  return { epoch: text(shown, "epoch"), horizon: integer(shown, "horizon"), after: cursor?.place ?? deletedTo };
}

function placeOf(row: Row, order: string, position: string): FeedPlace | null {
  return row[order] === null ? null : [integer(row, order), integer(row, position)];
}

/** SQL expression: the position of the newest event below the horizon; "0.0" if there is none. */
export const newestInFeed = `coalesce(
  (select feed_order || '.' || position from events where feed_order < ${feedHorizon} order by feed_order desc, position desc limit 1), '0.0')`;

export function feedPositionOf(row: Row): string {
  return `${integer(row, "feed_order")}.${integer(row, "position")}`;
}

export function decodeFeedPosition(place: string): FeedPlace {
  const [order = 0, position = 0] = place.split(".").map(Number);
  return [order, position];
}

/** Reads events in the order of the feed, below the horizon. The cursor is the last (feed_order, position) passed. */
async function readFeed(db: Database, query: FeedQuery): Promise<FeedPage> {
  // A repetition needs another deletion of the account's events during the read.
  for (;;) {
    const page = await readPage(db, query);
    if (page !== null) return page;
  }
}

/** Returns `null` if retention deleted events behind the begin of the feed during the read. */
async function readPage(db: Database, query: FeedQuery): Promise<FeedPage | null> {
  const { sinceMs, callSid, types, orTerminal, limit } = query;
  const accountKey = decodeId(query.accountId);
  const isLatest = query.cursor === latestCursor;
  // Read before the events: later commits appear only above the horizon.
  const { epoch, horizon, after } = await spanOf(db, accountKey, query.cursor);
  const since: FeedPlace = sinceMs === null ? feedBegin : [await lastOrderBefore(db, sinceMs), 0];
  const marks = await readMarks(db, accountKey);
  const { rows, passed } = isLatest
    ? { rows: [], passed: undefined }
    : await findEvents(db, {
        accountKey,
        purged: purgedOf(marks),
        after: laterPlace(after, since),
        before: horizon,
        // A call has few events.
        few: callSid !== null,
        conditions: [
          ["e.created_at >= ?", sinceMs],
          isAboutCall(accountKey, callSid, (column, query) => `${column} = any(array(${query}))`),
        ],
        types,
        orTerminal,
        order: "asc",
        limit,
      });
  const [ends, data] = await Promise.all([findEnds(db, accountKey, horizon), readEventViews(db, rows, marks)]);
  const deletedTo = ends === undefined ? null : placeOf(ends, "deleted_order", "deleted_position");
  if (deletedTo !== null && comparePlaces(after, deletedTo) < 0) {
    if (query.cursor !== null && !isLatest) throw new CursorGoneError();
    return null;
  }
  const last = passed ?? (rows.length === limit ? rows.at(-1) : undefined);
  // A page that is not full has passed all events of the account. Events of other accounts must not move its cursor.
  const next =
    last !== undefined
      ? placeOf(last, "feed_order", "position")
      : laterPlace(after, (ends === undefined ? null : placeOf(ends, "feed_order", "position")) ?? feedBegin);
  const cursors = rows.map((row) => encodeFeedCursor(epoch, placeOf(row, "feed_order", "position") ?? after));
  return { data, cursors, nextCursor: encodeFeedCursor(epoch, next ?? after) };
}

/**
 * Returns the `feed_order` up to which no event was recorded at or after `sinceMs`; 0 if there is none. Bisects the positions, so
 * that events need no index on their time, in one statement: twenty round trips take as long as the page.
 */
async function lastOrderBefore(db: Queries, sinceMs: number): Promise<number> {
  const row = await db.get(
    `with recursive search (low, high, feed_order) as (
       select min(position), max(position) + 1, 0::bigint from events
       union all
       select case when e.is_before then e.position + 1 else s.low end, case when e.is_before then s.high else (s.low + s.high) / 2 end,
         case when e.is_before then e.feed_order else s.feed_order end
       from search s left join lateral (
         select position, feed_order, created_at < $1 as is_before from events
         where position >= (s.low + s.high) / 2 order by position limit 1) e on true
       where s.low < s.high)
     select feed_order from search where low >= high`,
    sinceMs - clockSlackMs,
  );
  return row === undefined ? 0 : integer(row, "feed_order");
}

/** Reads the newest event of the account below the horizon, and the newest that retention deleted, after the page was read. */
async function findEnds(db: Database, accountKey: number, horizon: number): Promise<Row | undefined> {
  return db.get(
    `select e.feed_order, e.position, s.feed_order as deleted_order, s.position as deleted_position
     from (select 1) one left join lateral (
         select feed_order, position from events where account_id = $1 and feed_order < $2 order by feed_order desc, position desc limit 1) e on true
       left join feed_starts s on s.account_id = $1`,
    accountKey,
    horizon,
  );
}

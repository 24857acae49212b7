import type { EventView, FeedQuery } from "../../../ports/stores/read-store.ts";
import type { Database } from "../connection/database.ts";
import type { Row } from "../../sql/rows.ts";
import { findEvents, firstOrderAt } from "./event-positions.ts";
import { horizonAfterNewest } from "./feed-horizon.ts";
import { unindexed } from "./page.ts";
import { integer } from "../../sql/rows.ts";
import { readEventViews } from "./selects.ts";
import { decodePairCursor, encodeCursor } from "../../sql/cursor.ts";

/** In the order of the feed, as far as it is complete. The cursor is the last (feed_order, position) that was passed. */
export async function readFeed(
  db: Database,
  query: FeedQuery,
): Promise<{ readonly data: readonly EventView[]; readonly nextCursor: string }> {
  const { accountId, sinceMs, callSid, types, orTerminal, limit } = query;
  const [cursorOrder, cursorPosition] = query.cursor === null ? [0, 0] : decodePairCursor(query.cursor);
  // Read first: what lies below it stays complete, whatever is committed until the events are read.
  const horizon = await horizonAfterNewest(db, accountId);
  // A call has few events.
  const few = callSid !== null;
  const plus = few ? " + 0" : "";
  const rows = await findEvents(db, {
    few,
    conditions: [
      [`${few ? unindexed("e.account_id") : "e.account_id"} = ?`, accountId],
      [`(e.feed_order${plus}, e.position${plus}) > (?, ?)`, cursorOrder, cursorPosition],
      [`e.feed_order${plus} < ?`, horizon],
      [`e.feed_order${plus} >= ?`, sinceMs === null ? null : await firstOrderAt(db, sinceMs)],
      ["e.created_at >= ?", sinceMs],
      ["e.watch_id = any(array(select w.id from calls c join watches w on w.call_id = c.id where c.call_sid = ?))", callSid],
    ],
    types,
    orTerminal,
    order: "asc",
    limit,
  });
  const last = rows.at(-1);
  const full = rows.length === limit && last !== undefined;
  // A page that is not full has seen everything the account has; what others do must not move its cursor.
  const next = full ? keyOf(last) : laterOf([cursorOrder, cursorPosition], keyOf(await findNewest(db, accountId, horizon)));
  return { data: await readEventViews(db, rows), nextCursor: encodeCursor(next.join(".")) };
}

type Key = readonly [order: number, position: number];

function keyOf(row: Row | undefined): Key {
  return row === undefined ? [0, 0] : [integer(row, "feed_order"), integer(row, "position")];
}

async function findNewest(db: Database, accountId: string, horizon: number): Promise<Row | undefined> {
  return db.get(
    "select feed_order, position from events where account_id = $1 and feed_order < $2 order by feed_order desc, position desc limit 1",
    accountId,
    horizon,
  );
}

function laterOf(a: Key, b: Key): Key {
  return a[0] > b[0] || (a[0] === b[0] && a[1] > b[1]) ? a : b;
}

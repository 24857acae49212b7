import type { EventView, FeedQuery } from "../../../ports/read-store.ts";
import type { Database } from "../database.ts";
import { firstPositionAt } from "../tables/event-positions.ts";
import { decodeNumberCursor, encodeCursor, whereOf } from "../tables/page.ts";
import { integer } from "../tables/rows.ts";
import { eventSelect, eventViewOf } from "../tables/views.ts";

/** In commit order. With one writer a position that can be read has no smaller one still to come. */
export function readFeed(db: Database, query: FeedQuery): { readonly data: readonly EventView[]; readonly nextCursor: string } {
  const cursor = query.cursor === null ? 0 : decodeNumberCursor(query.cursor);
  const afterPosition = query.sinceMs === null ? cursor : Math.max(cursor, firstPositionAt(db, query.sinceMs) - 1);
  const { where, values } = whereOf([
    ["e.account_id = ?", query.accountId],
    ["e.position > ?", afterPosition],
    ["e.created_at >= ?", query.sinceMs],
    ["e.call_sid = ?", query.callSid],
    [
      query.orTerminal ? "(e.terminal = 1 or e.type in (select value from json_each(?)))" : "e.type in (select value from json_each(?))",
      query.types === null ? null : JSON.stringify(query.types),
    ],
  ]);
  const rows = db.all(`${eventSelect} where ${where} order by e.position limit ?`, ...values, query.limit);
  const last = rows.at(-1);
  // A page that is not full has seen everything there is, other accounts' events included.
  const newest = db.get("select coalesce(max(position), 0) as position from events");
  const full = rows.length === query.limit && last !== undefined;
  const nextPosition = full ? integer(last, "position") : Math.max(cursor, newest === undefined ? 0 : integer(newest, "position"));
  return { data: rows.map((row) => eventViewOf(db, row)), nextCursor: encodeCursor(nextPosition) };
}

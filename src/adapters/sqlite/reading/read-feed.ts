import type { EventView, FeedQuery } from "../../../ports/stores/read-store.ts";
import type { Database } from "../connection/database.ts";
import { findPositions, firstPositionAt } from "./event-positions.ts";
import { integer } from "../../sql/rows.ts";
import { eventAt, readEventView } from "./selects.ts";
import { decodeNumberCursor, encodeCursor } from "../../sql/cursor.ts";

/** In commit order. With one writer a position that can be read has no smaller one still to come. */
export function readFeed(db: Database, query: FeedQuery): { readonly data: readonly EventView[]; readonly nextCursor: string } {
  const { accountId, sinceMs, callSid, types, orTerminal, limit } = query;
  const cursor = query.cursor === null ? 0 : decodeNumberCursor(query.cursor);
  // A call has few events: the + keeps the planner from walking through all of the account's.
  const broad = callSid === null ? "" : "+";
  const positions = findPositions(db, {
    conditions: [
      [`${broad}e.account_id = ?`, accountId],
      [`${broad}e.position > ?`, sinceMs === null ? cursor : Math.max(cursor, firstPositionAt(db, sinceMs) - 1)],
      ["e.created_at >= ?", sinceMs],
      ["e.watch_id in (select w.id from calls c join watches w on w.call_id = c.id where c.call_sid = ?)", callSid],
    ],
    types,
    orTerminal,
    order: "asc",
    limit,
  });
  const last = positions.at(-1);
  const full = positions.length === limit && last !== undefined;
  // A page that is not full has seen everything the account has; what others do must not move its cursor.
  const newest = db.get("select position from events where account_id = ? order by position desc limit 1", accountId);
  const nextPosition = full ? last : Math.max(cursor, newest === undefined ? 0 : integer(newest, "position"));
  return { data: positions.map((position) => readEventView(db, eventAt(db, position))), nextCursor: encodeCursor(nextPosition) };
}

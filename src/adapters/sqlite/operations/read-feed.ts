import type { EventView, FeedQuery } from "../../../ports/read-store.ts";
import type { Database } from "../database.ts";
import { decodeNumberCursor, encodeCursor } from "../tables/page.ts";
import { integer } from "../tables/rows.ts";
import { eventSelect, eventViewOf } from "../tables/views.ts";

/** In commit order. With one writer a position that can be read has no smaller one still to come. */
export function readFeed(db: Database, query: FeedQuery): { readonly data: readonly EventView[]; readonly nextCursor: string } {
  const afterPosition = query.cursor === null ? 0 : decodeNumberCursor(query.cursor);
  // Read first: what is committed later is after it, so an empty page may go on from here.
  const newest = db.get("select coalesce(max(position), 0) as position from events");
  const rows = db.all(
    `${eventSelect} where e.account_id = ?1 and e.position > ?2 and (?3 is null or e.created_at >= ?3) and (?4 is null or e.call_sid = ?4)
       and (?5 is null or e.type in (select value from json_each(?5)) or (?6 = 1 and e.terminal = 1))
     order by e.position limit ?7`,
    query.accountId,
    afterPosition,
    query.sinceMs,
    query.callSid,
    query.types === null ? null : JSON.stringify(query.types),
    query.orTerminal,
    query.limit,
  );
  const last = rows.at(-1);
  const full = rows.length === query.limit && last !== undefined;
  const newestPosition = newest === undefined ? 0 : integer(newest, "position");
  const nextPosition = full ? integer(last, "position") : Math.max(afterPosition, newestPosition);
  return { data: rows.map((row) => eventViewOf(db, row)), nextCursor: encodeCursor(nextPosition) };
}

import type { RingbackEvent } from "../../../domain/events/event.ts";
import type { EventView, Page, ReadStore } from "../../../ports/stores/read-store.ts";
import { integer, eventOf } from "../../sql/rows.ts";
import { decodeNumberCursor, pageOf } from "../../sql/cursor.ts";
import type { Queries } from "../connection/queries.ts";
import { eventSelect, readEventViews } from "./selects.ts";
import { findEvents } from "./positions.ts";

export const reads = { getEvent, listRecentEvents, listWatchEvents };

async function getEvent(db: Queries, accountId: string, eventId: string): Promise<EventView | null> {
  const rows = await db.all(`${eventSelect} where e.id = $1 and e.account_id = $2`, eventId, accountId);
  const [view] = await readEventViews(db, rows);
  return view ?? null;
}

async function listWatchEvents(db: Queries, query: Parameters<ReadStore["listWatchEvents"]>[0]): Promise<Page<EventView> | null> {
  const afterSequence = query.cursor === null ? 0 : decodeNumberCursor(query.cursor);
  const watch = await db.get("select 1 from watches where id = $1 and account_id = $2", query.watchId, query.accountId);
  if (watch === undefined) return null;
  const rows = await db.all(
    `${eventSelect} where e.watch_id = $1 and e.sequence > $2 order by e.sequence limit $3`,
    query.watchId,
    afterSequence,
    query.limit + 1,
  );
  const page = pageOf(
    rows,
    query,
    (row) => integer(row, "sequence"),
    (row) => row,
  );
  return { data: await readEventViews(db, page.data), nextCursor: page.nextCursor };
}

/** Lists events about calls and watches, newest first. */
async function listRecentEvents(db: Queries, query: Parameters<ReadStore["listRecentEvents"]>[0]): Promise<readonly RingbackEvent[]> {
  const { accountId, types, orTerminal, limit } = query;
  const rows = await findEvents(db, {
    conditions: [
      ["e.account_id = ?", accountId],
      ["e.watch_id > ?", ""],
    ],
    few: false,
    types,
    orTerminal,
    order: "desc",
    limit,
  });
  return rows.map(eventOf);
}

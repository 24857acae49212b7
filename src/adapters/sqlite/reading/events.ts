import { decodeId } from "../../../domain/ids.ts";
import type { EventView, FeedQuery, ReadStore } from "../../../ports/stores/read-store.ts";
import { decodeNumberCursor, encodeCursor } from "../../sql/cursor.ts";
import { eventReads, lastOrderBefore } from "../../sql/reading/events.ts";
import { integer } from "../../sql/rows.ts";
import { eventViewOf } from "../../sql/view-rows.ts";
import type { Row } from "../../sql/rows.ts";
import type { Database } from "../connection/database.ts";
import { findPositions } from "./positions.ts";
import { eventSelect } from "./selects.ts";

export const reads = {
  ...eventReads<Database>({
    eventSelect,
    isOne: "e.id = ?1 and e.account_id = ?2",
    readEventViews: (db, rows) => rows.map((row) => readEventView(db, row)),
    findEvents: (db, { accountKey, conditions, ...query }) =>
      findPositions(db, { ...query, conditions: [["e.account_id = ?", accountKey], ...conditions] }).map((position) =>
        eventAt(db, position),
      ),
  }),
  readFeed,
};

/** Lists events in commit order. One writer assigns the positions, so they become readable in rising order. */
async function readFeed(db: Database, query: FeedQuery): ReturnType<ReadStore["readFeed"]> {
  const accountKey = decodeId(query.accountId);
  const { sinceMs, callSid, types, orTerminal, limit } = query;
  const cursor = query.cursor === null ? 0 : decodeNumberCursor(query.cursor);
  // A call has few events, so the + keeps the planner off the account's index.
  const offIndex = callSid === null ? "" : "+";
  const positions = findPositions(db, {
    conditions: [
      [`${offIndex}e.account_id = ?`, accountKey],
      [`${offIndex}e.position > ?`, sinceMs === null ? cursor : Math.max(cursor, await lastOrderBefore(db, "position", sinceMs))],
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
  // A page that is not full has covered all events of the account. Events of other accounts must not move its cursor.
  const newest = db.get("select position from events where account_id = ? order by position desc limit 1", accountKey);
  const nextPosition = full ? last : Math.max(cursor, newest === undefined ? 0 : integer(newest, "position"));
  return { data: positions.map((position) => readEventView(db, eventAt(db, position))), nextCursor: encodeCursor(nextPosition) };
}

/** Reads the event at a position that was just found. */
function eventAt(db: Database, position: number): Row {
  const row = db.get(`${eventSelect} where e.position = ?`, position);
  if (row === undefined) throw new Error(`no event at ${position}`);
  return row;
}

function readEventView(db: Database, row: Row): EventView {
  const deliveries = db.all(
    "select id, endpoint_id, status, attempt_count, next_attempt_at from deliveries where event_position = ? order by id",
    integer(row, "position"),
  );
  return eventViewOf(row, deliveries);
}

import { CursorGoneError } from "../../../domain/errors.ts";
import { isCursorGood, latestCursor } from "../../../domain/events/feed-place.ts";
import type { CursorFacts } from "../../../domain/events/feed-place.ts";
import { decodeId } from "../../../domain/ids.ts";
import type { EventView, FeedQuery, ReadStore, TimelineEvent } from "../../../ports/stores/read-store.ts";
import { decodeFeedCursor, encodeFeedCursor } from "../../sql/feed-cursor.ts";
import { clockSlackMs, eventReads, isAboutCall } from "../../sql/reading/events.ts";
import { integer, integerOrNull, text } from "../../sql/rows.ts";
import { eventViewOf } from "../../sql/view-rows.ts";
import type { Row } from "../../sql/rows.ts";
import { readMarks } from "../../sql/marks/mark-rows.ts";
import { purgedOf, seeDeliveries } from "../../sql/marks/seen-rows.ts";
import type { Mark } from "../../../domain/deliveries/marks.ts";
import type { Database } from "../connection/database.ts";
import { findPositions } from "./positions.ts";
import { eventSelect } from "./selects.ts";

export const reads = {
  ...eventReads<Database>({
    eventSelect,
    isOne: "e.id = ?1 and e.account_id = ?2",
    readEventViews,
    readTimelineEvents,
    findEvents: (db, { accountKey, conditions, ...query }) => {
      const { rows, passed } = findPositions(db, {
        ...query,
        behind: null,
        few: false,
        conditions: [["e.account_id = ?", accountKey], ...conditions],
      });
      return { rows: rows.map((row) => eventAt(db, row)), passed };
    },
  }),
  readFeed,
};

/** Lists events in commit order. One writer assigns the positions, so they become readable in rising order. */
async function readFeed(db: Database, query: FeedQuery): ReturnType<ReadStore["readFeed"]> {
  const accountKey = decodeId(query.accountId);
  const { sinceMs, callSid, types, orTerminal, limit } = query;
  const { epoch, after } = startOf(db, accountKey, query.cursor);
  // Events of other accounts must not move the cursor of an account.
  const newest = db.get("select position from events where account_id = ? order by position desc limit 1", accountKey);
  const end = Math.max(after, newest === undefined ? 0 : integer(newest, "position"));
  if (query.cursor === latestCursor) return { data: [], cursors: [], nextCursor: encodeFeedCursor(epoch, [0, end]) };
  // A call has few events, so the + keeps the planner off the account's index.
  const offIndex = callSid === null ? "" : "+";
  const marks = await readMarks(db, accountKey);
  const { rows, passed } = findPositions(db, {
    purged: purgedOf(marks),
    behind: sinceMs === null ? after : Math.max(after, lastPositionBefore(db, sinceMs)),
    few: callSid !== null,
    conditions: [
      [`${offIndex}e.account_id = ?`, accountKey],
      ["e.created_at >= ?", sinceMs],
      isAboutCall(accountKey, callSid, (column, query) => `${column} in (${query})`),
    ],
    types,
    orTerminal,
    order: "asc",
    limit,
  });
  const last = passed ?? (rows.length === limit ? rows.at(-1) : undefined);
  // A page that is not full has covered all events of the account.
  const next = last !== undefined ? integer(last, "position") : end;
  const found = rows.map((row) => eventAt(db, row));
  const cursors = found.map((row) => encodeFeedCursor(epoch, [0, integer(row, "position")]));
  return { data: await readEventViews(db, found, marks), cursors, nextCursor: encodeFeedCursor(epoch, [0, next]) };
}

/**
 * Returns the position up to which no event was recorded at or after `sinceMs`; 0 if there is none. Bisects the positions, so
 * that events need no index on their time.
 */
function lastPositionBefore(db: Database, sinceMs: number): number {
  const edges = db.get("select (select min(position) from events) as first, (select max(position) from events) as last");
  if (edges === undefined || edges["first"] === null) return 0;
  let low = integer(edges, "first");
  let high = integer(edges, "last") + 1;
  let last = 0;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const row = db.get("select position, created_at from events where position >= ?1 order by position limit 1", middle);
    if (row === undefined || integer(row, "created_at") >= sinceMs - clockSlackMs) high = middle;
    else {
      last = integer(row, "position");
      low = last + 1;
    }
  }
  return last;
}

/** Returns the current epoch and the position that the page begins behind. Throws `CursorGoneError`. */
function startOf(db: Database, accountKey: number, given: string | null): { readonly epoch: string; readonly after: number } {
  const cursor = given === null || given === latestCursor ? null : decodeFeedCursor(given);
  const row = db.get(
    `select (select lower(hex(epoch)) from feed_epochs where id = (select max(id) from feed_epochs)) as epoch, e.id as cursor_epoch,
       (select n.first_position from feed_epochs n where n.id > e.id order by n.id limit 1) as next_epoch_at,
       coalesce((select s.position from feed_starts s where s.account_id = ?2), 0) as deleted_to
     from (select 1) left join feed_epochs e on e.epoch = ?1`,
    Buffer.from(cursor?.epoch ?? "", "hex"),
    accountKey,
  );
  if (row === undefined) throw new Error("a select without a table returned no row");
  const deletedTo = integer(row, "deleted_to");
  const nextEpochAt = integerOrNull(row, "next_epoch_at");
  const facts: CursorFacts = {
    isEpochKnown: row["cursor_epoch"] !== null,
    nextEpochAt: nextEpochAt === null ? null : [0, nextEpochAt],
    deletedTo: [0, deletedTo],
  };
  if (cursor !== null && !isCursorGood(cursor, facts)) throw new CursorGoneError();
  return { epoch: text(row, "epoch"), after: cursor?.place[1] ?? deletedTo };
}

/** Reads the event at a position that was just found. */
function eventAt(db: Database, { position }: Row): Row {
  const row = db.get(`${eventSelect} where e.position = ?`, position as number);
  if (row === undefined) throw new Error(`no event at ${String(position)}`);
  return row;
}

const deliveriesOfEvent = `select d.id, d.endpoint_id, d.status, d.attempt_count, d.next_attempt_at, d.early_after,
    p.recoveries as p_recoveries, p.recovered_at as p_recovered_at
  from deliveries d join endpoints p on p.id = d.endpoint_id where d.event_position = ?1 order by d.id`;

async function readEventViews(db: Database, rows: readonly Row[], marks: readonly Mark[]): Promise<readonly EventView[]> {
  const views: EventView[] = [];
  for (const row of rows) {
    const deliveries = db.all(deliveriesOfEvent, integer(row, "position"));
    views.push(eventViewOf(row, await seeDeliveries(db, marks, deliveries)));
  }
  return views;
}

/** The same with the first deliveries of each event, and the number of all. */
async function readTimelineEvents(
  db: Database,
  rows: readonly Row[],
  marks: readonly Mark[],
  deliveriesOfEach: number,
): Promise<readonly TimelineEvent[]> {
  const views: TimelineEvent[] = [];
  for (const row of rows) {
    const position = integer(row, "position");
    const deliveries = db.all(`${deliveriesOfEvent} limit ?2`, position, deliveriesOfEach);
    const count = db.get("select count(*) as n from deliveries where event_position = ?", position);
    views.push({ ...eventViewOf(row, await seeDeliveries(db, marks, deliveries)), deliveryCount: integer(count ?? {}, "n") });
  }
  return views;
}

import type { Mark } from "../../../domain/deliveries/marks.ts";
import { readMarks } from "../marks/mark-rows.ts";
import { purgedOf, seeEvents } from "../marks/seen-rows.ts";
import { decodeId, unknownKey } from "../../../domain/ids.ts";
import { operationalEventTypes, watchEventTypes } from "../../../domain/events/event.ts";
import type { TypeSelection } from "../../../domain/events/event-filter.ts";
import type { EventView, PageRequest, ReadStore, TimelineEvent } from "../../../ports/stores/read-store.ts";
import { decodeNumberCursor, pageOf } from "../cursor.ts";
import type { SqlQueries } from "../queries.ts";
import { eventOf, integer, integerOrNull } from "../rows.ts";
import type { Row } from "../rows.ts";
import type { Condition } from "./page.ts";

/** A search for events. Its conditions are on the table `e`. */
export type EventQuery = {
  readonly conditions: readonly Condition[];
  /** Order of the feed. */
  readonly order: "asc" | "desc";
  readonly limit: number;
  /** Watches whose events are hidden, because marks have purged them. */
  readonly purged: ReadonlySet<number>;
} & TypeSelection;

/** Events of one page. */
export type FoundEvents = {
  readonly rows: readonly Row[];
  /** The last event that was read, if hidden ones made the page short: the next page begins behind it. `null` if the page is full or the last. */
  readonly passed: Row | null;
};

/** Number of events that a page reads of each range while hidden ones are among them. */
export const scannedEvents = 1000;

/**
 * Makes a page of the ranges that were read, each up to `scanned` rows in the order of the feed: without hidden events, and no
 * further than the range that was cut off first.
 */
export function pageOfRanges(
  ranges: readonly (readonly Row[])[],
  compare: (a: Row, b: Row) => number,
  { limit, purged, scanned }: { readonly limit: number; readonly purged: ReadonlySet<number>; readonly scanned: number },
): FoundEvents {
  const all = ranges.flat().toSorted(compare);
  if (purged.size === 0) return { rows: all.slice(0, limit), passed: null };
  const cuts = ranges.filter((rows) => rows.length === scanned).map((rows) => rows.at(-1) as Row);
  const cut = cuts.toSorted(compare)[0] ?? null;
  const within = cut === null ? all : all.filter((row) => compare(row, cut) <= 0);
  const rows = within.filter((row) => !purged.has(integerOrNull(row, "watch_id") ?? unknownKey));
  return { rows: rows.slice(0, limit), passed: rows.length < limit ? cut : null };
}

const operationalTypes = operationalEventTypes.map((type) => `'${type}'`).join(", ");

/**
 * Condition of a search that names no type. A reader passes each operational event once, because the cursor of a page that is
 * not full leads behind all of them.
 */
export const isNotOperational: Condition = [`e.type not in (${operationalTypes})`];

/**
 * Returns the condition that an event is about a call with this SID: an event of a watch of it, or an operational event that
 * names it. Both are found by an index of their own. `isIn` compares with the rows of a query, as the dialect plans it best.
 */
export function isAboutCall(accountKey: number, callSid: string | null, isIn: (column: string, query: string) => string): Condition {
  const watches = "select w.id from calls c join watches w on w.call_id = c.id where c.call_sid = ?";
  const events = `select x.position from events x where ${isIn("x.watch_id", watches)}
    union all select y.position from events y where y.sequence is null and y.account_id = ? and y.call_sid = ?`;
  return [isIn("e.position", events), callSid, accountKey, callSid];
}

/** A range of the index of events by account, type and `terminal`. */
export type TypeRange = { readonly type: string; readonly terminal: boolean };

/**
 * Returns the disjoint ranges that hold the selected events; `null` if no type is named, which the index of the account
 * serves. A page is merged from the first events of each range, so that a rare type never costs a walk through all others.
 */
export function typeRangesOf({ types, orTerminal }: TypeSelection): readonly TypeRange[] | null {
  if (types === null) return null;
  const both = types.flatMap((type) => [
    { type, terminal: false },
    { type, terminal: true },
  ]);
  // Only events about a watch end anything.
  const others = orTerminal ? watchEventTypes.filter((type) => !types.includes(type)) : [];
  return [...both, ...others.map((type) => ({ type, terminal: true }))];
}

/** Bound on the disorder between positions and times. Clock steps and overlapping transactions cause the disorder. */
export const clockSlackMs = 3_600_000;

type EventReading<Db> = {
  readonly eventSelect: string;
  /** Condition on the table `e`: the id is `?1`, the account `?2`. */
  readonly isOne: string;
  /** Adds the deliveries to rows of `eventSelect`, in the order given. */
  readonly readEventViews: (db: Db, rows: readonly Row[], marks: readonly Mark[]) => Promise<readonly EventView[]>;
  /** Adds the first `deliveriesOfEach` deliveries to rows of `eventSelect`, and counts all, in the order given. */
  readonly readTimelineEvents: (
    db: Db,
    rows: readonly Row[],
    marks: readonly Mark[],
    deliveriesOfEach: number,
  ) => Promise<readonly TimelineEvent[]>;
  /** Finds the first rows of `eventSelect` of an account that match. */
  readonly findEvents: (db: Db, query: EventQuery & { readonly accountKey: number }) => FoundEvents | Promise<FoundEvents>;
};

/** Returns the reads of events, except the feed. */
export function eventReads<Db extends SqlQueries>(reading: EventReading<Db>) {
  const { eventSelect, isOne, readEventViews, readTimelineEvents, findEvents } = reading;
  return {
    async getEvent(db: Db, accountId: string, eventId: string): Promise<EventView | null> {
      const marks = await readMarks(db, decodeId(accountId));
      const rows = await db.all(`${eventSelect} where ${isOne}`, eventId, decodeId(accountId));
      const [view] = await readEventViews(db, seeEvents(marks, rows), marks);
      return view ?? null;
    },
    async listWatchEvents(db: Db, query: Parameters<ReadStore["listWatchEvents"]>[0]): ReturnType<ReadStore["listWatchEvents"]> {
      const found = await findOfWatch(db, eventSelect, query);
      if (found === null) return null;
      return { data: await readEventViews(db, found.data, found.marks), nextCursor: found.nextCursor };
    },
    async listTimeline(db: Db, query: Parameters<ReadStore["listTimeline"]>[0]): ReturnType<ReadStore["listTimeline"]> {
      const found = await findOfWatch(db, eventSelect, query);
      if (found === null) return null;
      return { data: await readTimelineEvents(db, found.data, found.marks, query.deliveriesOfEach), nextCursor: found.nextCursor };
    },
    /** Lists events newest first. Without types those about calls and watches, by their types, so that operational events cost no walk. */
    async listRecentEvents(
      db: Db,
      { accountId, types, orTerminal, limit }: Parameters<ReadStore["listRecentEvents"]>[0],
    ): ReturnType<ReadStore["listRecentEvents"]> {
      const marks = await readMarks(db, decodeId(accountId));
      const shown = types ?? watchEventTypes;
      const { rows } = await findEvents(db, {
        accountKey: decodeId(accountId),
        purged: purgedOf(marks),
        conditions: [],
        types: shown,
        orTerminal,
        order: "desc",
        limit,
      });
      return rows.map(eventOf);
    },
  };
}

/** Reads a page of rows of `eventSelect`, by sequence; `null` if the account has no such watch. */
async function findOfWatch(
  db: SqlQueries,
  eventSelect: string,
  query: PageRequest & { readonly accountId: string; readonly watchId: string },
) {
  const afterSequence = query.cursor === null ? 0 : decodeNumberCursor(query.cursor);
  const watchKey = decodeId(query.watchId);
  const marks = await readMarks(db, decodeId(query.accountId));
  const watch = await db.get("select 1 from watches where id = ?1 and account_id = ?2", watchKey, decodeId(query.accountId));
  if (watch === undefined || purgedOf(marks).has(watchKey)) return null;
  const rows = await db.all(
    `${eventSelect} where e.watch_id = ?1 and e.sequence > ?2 order by e.sequence limit ?3`,
    watchKey,
    afterSequence,
    query.limit + 1,
  );
  const page = pageOf(
    rows,
    query,
    (row) => integer(row, "sequence"),
    (row) => row,
  );
  return { ...page, marks };
}

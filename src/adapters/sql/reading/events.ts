import { decodeId } from "../../../domain/ids.ts";
import { watchEventTypes } from "../../../domain/events/event.ts";
import type { TypeSelection } from "../../../domain/events/event-filter.ts";
import type { EventView, ReadStore } from "../../../ports/stores/read-store.ts";
import { decodeNumberCursor, pageOf } from "../cursor.ts";
import type { SqlQueries } from "../queries.ts";
import { eventOf, integer } from "../rows.ts";
import type { Row } from "../rows.ts";
import type { Condition } from "./page.ts";

/** A search for events. Its conditions are on the table `e`. */
export type EventQuery = {
  readonly conditions: readonly Condition[];
  /** Order of the feed. */
  readonly order: "asc" | "desc";
  readonly limit: number;
} & TypeSelection;

/** A range of the index of events by account, type and `terminal`. */
export type TypeRange = { readonly type: string; readonly terminal: boolean };

/**
 * Returns the disjoint ranges that hold the selected events; `null` if every type is selected, which the index of the account
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
const clockSlackMs = 3_600_000;

/**
 * Returns the value of `orderColumn`, up to which no event was recorded at or after `sinceMs`; 0 if there is none. Bisects
 * the positions, so that events need no index on their time.
 */
export async function lastOrderBefore(db: SqlQueries, orderColumn: "position" | "feed_order", sinceMs: number): Promise<number> {
  const edges = await db.get("select (select min(position) from events) as first, (select max(position) from events) as last");
  if (edges === undefined || edges["first"] === null) return 0;
  let low = integer(edges, "first");
  let high = integer(edges, "last") + 1;
  let order = 0;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const row = await db.get(
      `select position, ${orderColumn} as feed_order, created_at from events where position >= ?1 order by position limit 1`,
      middle,
    );
    if (row === undefined || integer(row, "created_at") >= sinceMs - clockSlackMs) high = middle;
    else {
      low = integer(row, "position") + 1;
      order = integer(row, "feed_order");
    }
  }
  return order;
}

type EventReading<Db> = {
  readonly eventSelect: string;
  /** Condition on the table `e`: the id is `?1`, the account `?2`. */
  readonly isOne: string;
  /** Adds the deliveries to rows of `eventSelect`, in the order given. */
  readonly readEventViews: (db: Db, rows: readonly Row[]) => readonly EventView[] | Promise<readonly EventView[]>;
  /** Finds the first rows of `eventSelect` of an account that match. */
  readonly findEvents: (db: Db, query: EventQuery & { readonly accountKey: number }) => readonly Row[] | Promise<readonly Row[]>;
};

/** Returns the reads of events, except the feed. */
export function eventReads<Db extends SqlQueries>({ eventSelect, isOne, readEventViews, findEvents }: EventReading<Db>) {
  return {
    async getEvent(db: Db, accountId: string, eventId: string): Promise<EventView | null> {
      const rows = await db.all(`${eventSelect} where ${isOne}`, eventId, decodeId(accountId));
      const [view] = await readEventViews(db, rows);
      return view ?? null;
    },
    async listWatchEvents(db: Db, query: Parameters<ReadStore["listWatchEvents"]>[0]): ReturnType<ReadStore["listWatchEvents"]> {
      const afterSequence = query.cursor === null ? 0 : decodeNumberCursor(query.cursor);
      const watchKey = decodeId(query.watchId);
      const watch = await db.get("select 1 from watches where id = ?1 and account_id = ?2", watchKey, decodeId(query.accountId));
      if (watch === undefined) return null;
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
      return { data: await readEventViews(db, page.data), nextCursor: page.nextCursor };
    },
    /** Lists events about calls and watches, newest first. Selects their types, so that operational events cost no walk. */
    async listRecentEvents(
      db: Db,
      { accountId, types, orTerminal, limit }: Parameters<ReadStore["listRecentEvents"]>[0],
    ): ReturnType<ReadStore["listRecentEvents"]> {
      const shown = watchEventTypes.filter((type) => types === null || types.includes(type));
      const rows = await findEvents(db, {
        accountKey: decodeId(accountId),
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

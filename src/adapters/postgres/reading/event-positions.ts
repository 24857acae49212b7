import type { TypeSelection } from "../../../domain/events/event-filter.ts";
import type { Queries, Row } from "../connection/database.ts";
import { unindexed, whereOf } from "./page.ts";
import type { Condition } from "./page.ts";
import { integer } from "../../sql/rows.ts";
import { eventSelect } from "./selects.ts";

/** Positions and times grow together, but for a clock that is set back and for transactions that overlap: by so much they may disagree. */
const clockSlackMs = 3_600_000;

/**
 * A `feed_order` before which no event was recorded at or after `sinceMs`: found by bisection over the positions, so that
 * events need no index on their time. 0 when there is none.
 */
export async function firstOrderAt(db: Queries, sinceMs: number): Promise<number> {
  const edges = await db.get("select min(position) as first, max(position) as last from events");
  if (edges === undefined || edges["first"] === null) return 0;
  let low = integer(edges, "first");
  let high = integer(edges, "last") + 1;
  let order = 0;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const row = await db.get("select position, feed_order, created_at from events where position >= $1 order by position limit 1", middle);
    if (row === undefined || integer(row, "created_at") >= sinceMs - clockSlackMs) high = middle;
    else {
      low = integer(row, "position") + 1;
      order = integer(row, "feed_order");
    }
  }
  return order;
}

export type EventQuery = {
  readonly conditions: readonly Condition[];
  /** The conditions name few events by themselves: those are found, then ordered. Else the order's index is followed. */
  readonly few: boolean;
  readonly order: "asc" | "desc";
  readonly limit: number;
} & TypeSelection;

/**
 * The first events that match, in the order of the feed. Each type is looked up by itself: a rare one must not cost a walk
 * over all the others.
 */
export async function findEvents(db: Queries, { conditions, few, types, orTerminal, order, limit }: EventQuery): Promise<readonly Row[]> {
  const find = (extra: readonly Condition[]) => {
    const plus = few ? " + 0" : "";
    const { where, values, next } = whereOf([...conditions, ...extra]);
    const select = eventSelect.replace("select ", "select e.feed_order, ");
    return db.all(
      `${select} where ${where} order by e.feed_order${plus} ${order}, e.position${plus} ${order} limit $${next}`,
      ...values,
      limit,
    );
  };
  if (types === null) return find([]);
  const searches = types.map((type) => find([[`${few ? unindexed("e.type") : "e.type"} = ?`, type]]));
  if (orTerminal) searches.push(find([["e.terminal = ?", true]]));
  const found = new Map((await Promise.all(searches)).flat().map((row) => [integer(row, "position"), row]));
  const sign = order === "asc" ? 1 : -1;
  return [...found.values()]
    .toSorted((a, b) => sign * (integer(a, "feed_order") - integer(b, "feed_order") || integer(a, "position") - integer(b, "position")))
    .slice(0, limit);
}

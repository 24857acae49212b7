import type { EventQuery } from "../../sql/reading/events.ts";
import { whereOf } from "../../sql/reading/page.ts";
import type { Condition } from "../../sql/reading/page.ts";
import type { Row } from "../../sql/rows.ts";
import { integer } from "../../sql/rows.ts";
import type { Queries } from "../connection/queries.ts";
import { unindexed } from "./page.ts";
import { eventSelect } from "./selects.ts";

type FeedQuery = EventQuery & {
  /**
   * Whether few events meet the conditions, so that they are found first and then sorted. Otherwise the search follows the
   * index of the order.
   */
  readonly few: boolean;
};

/**
 * Finds the first matching events in the order of the feed. Searches for each type separately, so that a rare type does not
 * cost a scan of all others.
 */
export async function findEvents(db: Queries, { conditions, few, types, orTerminal, order, limit }: FeedQuery): Promise<readonly Row[]> {
  const find = (extra: readonly Condition[]) => {
    const plus = few ? " + 0" : "";
    const { where, values, next } = whereOf([...conditions, ...extra]);
    const select = eventSelect.replace("select ", "select e.feed_order, ");
    return db.all(
      `${select} where ${where} order by e.feed_order${plus} ${order}, e.position${plus} ${order} limit ?${next}`,
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

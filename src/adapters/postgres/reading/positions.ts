import type { EventQuery } from "../../sql/reading/events.ts";
import { whereOf } from "../../sql/reading/page.ts";
import type { Condition } from "../../sql/reading/page.ts";
import type { Row } from "../../sql/rows.ts";
import { integer } from "../../sql/rows.ts";
import type { Queries } from "../connection/queries.ts";
import { unindexed, unindexedKey } from "./page.ts";
import { eventSelect } from "./selects.ts";

/** Place of an event in the feed. */
export type FeedKey = readonly [order: number, position: number];

type FeedSearch = EventQuery & {
  readonly accountKey: number;
  /** Only events after it. */
  readonly after: FeedKey;
  /** Only events with a lower `feed_order`. */
  readonly before: number;
  /** Whether few events meet the conditions: these are found first and then sorted. Otherwise the index of the order is followed. */
  readonly few: boolean;
};

/**
 * Finds the first matching events in the order of the feed. Searches for each type separately, so that a rare type does not
 * cost a scan of all others.
 */
export async function findEvents(db: Queries, search: FeedSearch): Promise<readonly Row[]> {
  const { types, orTerminal, order, limit } = search;
  const find = (type: string | null, extra: readonly Condition[] = []) => {
    const { bounds, columns } = search.few ? boundsOfFew(search, type) : boundsOfIndex(search, type);
    const { where, values, next } = whereOf([...bounds, ...search.conditions, ...extra]);
    const select = eventSelect.replace("select ", "select e.feed_order, ");
    const orderBy = columns.map((column) => `${column} ${order}`).join(", ");
    return db.all(`${select} where ${where} order by ${orderBy} limit ?${next}`, ...values, limit);
  };
  if (types === null) return find(null);
  const searches = types.map((type) => find(type));
  if (orTerminal) searches.push(find(null, [["e.terminal"]]));
  const found = new Map((await Promise.all(searches)).flat().map((row) => [integer(row, "position"), row]));
  const sign = order === "asc" ? 1 : -1;
  return [...found.values()]
    .toSorted((a, b) => sign * (integer(a, "feed_order") - integer(b, "feed_order") || integer(a, "position") - integer(b, "position")))
    .slice(0, limit);
}

type Bounds = { readonly bounds: readonly Condition[]; readonly columns: readonly string[] };

function boundsOfIndex({ accountKey, after, before }: FeedSearch, type: string | null): Bounds {
  if (type !== null)
    return {
      bounds: [
        ["e.account_id = ? and e.type = ?", accountKey, type],
        ["(e.feed_order, e.position) > (?, ?)", ...after],
        ["e.feed_order < ?", before],
      ],
      columns: ["e.feed_order", "e.position"],
    };
  // The bounds name the account too, because those of the feed alone fit the index over all accounts as well.
  return {
    bounds: [
      ["(e.account_id, e.feed_order, e.position) > (?, ?, ?)", accountKey, ...after],
      ["(e.account_id, e.feed_order) < (?, ?)", accountKey, before],
    ],
    columns: ["e.account_id", "e.feed_order", "e.position"],
  };
}

function boundsOfFew({ accountKey, after, before }: FeedSearch, type: string | null): Bounds {
  const columns = [unindexedKey("e.feed_order"), unindexedKey("e.position")];
  return {
    bounds: [
      [`${unindexedKey("e.account_id")} = ?`, accountKey],
      [`(${columns.join(", ")}) > (?, ?)`, ...after],
      [`${unindexedKey("e.feed_order")} < ?`, before],
      [`${unindexed("e.type")} = ?`, type],
    ],
    columns,
  };
}

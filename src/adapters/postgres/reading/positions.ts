import { isNotOperational, pageOfRanges, scannedEvents, typeRangesOf } from "../../sql/reading/events.ts";
import type { EventQuery, FoundEvents, TypeRange } from "../../sql/reading/events.ts";
import type { FeedPlace } from "../../../domain/events/feed-place.ts";
import { whereOf } from "../../sql/reading/page.ts";
import type { Condition } from "../../sql/reading/page.ts";
import type { Row } from "../../sql/rows.ts";
import { integer } from "../../sql/rows.ts";
import type { Queries } from "../connection/queries.ts";
import { unindexed, unindexedKey } from "./page.ts";
import { eventSelect } from "./selects.ts";

type FeedSearch = EventQuery & {
  readonly accountKey: number;
  /** Only events after it. */
  readonly after: FeedPlace;
  /** Only events with a lower `feed_order`. */
  readonly before: number;
  /** Whether few events meet the conditions: these are found first and then sorted. Otherwise the index of the order is followed. */
  readonly few: boolean;
};

/**
 * Finds the first matching events in the order of the feed, merged from the ranges of their types. Goes on behind hidden events
 * that fill a page, because readers take an empty page for the end.
 */
export async function findEvents(db: Queries, search: FeedSearch): Promise<FoundEvents> {
  for (let rest = search; ;) {
    const page = await readEvents(db, rest);
    if (page.rows.length > 0 || page.passed === null) return page;
    const place = [integer(page.passed, "feed_order"), integer(page.passed, "position")] as const;
    const isBelow: Condition = ["(e.feed_order, e.position) < (?, ?)", ...place];
    rest = search.order === "asc" ? { ...search, after: place } : { ...search, conditions: [...search.conditions, isBelow] };
  }
}

/** Reads one page. Conditions that few events meet serve all types at once. */
async function readEvents(db: Queries, search: FeedSearch): Promise<FoundEvents> {
  const { order, limit, few, purged } = search;
  const scanned = purged.size === 0 ? limit : limit + scannedEvents;
  const ranges = few ? null : typeRangesOf(search);
  const find = ({ bounds, columns }: Bounds) => {
    const { where, values, next } = whereOf([...bounds, ...search.conditions]);
    const select = eventSelect.replace("select ", "select e.feed_order, ");
    const orderBy = columns.map((column) => `${column} ${order}`).join(", ");
    return db.all(`${select} where ${where} order by ${orderBy} limit ?${next}`, ...values, scanned);
  };
  const bounds =
    ranges === null ? [few ? boundsOfFew(search) : boundsOfAccount(search)] : ranges.map((range) => boundsOfType(search, range));
  const found = await Promise.all(bounds.map(find));
  const sign = order === "asc" ? 1 : -1;
  const compare = (a: Row, b: Row) =>
    sign * (integer(a, "feed_order") - integer(b, "feed_order") || integer(a, "position") - integer(b, "position"));
  return pageOfRanges(found, compare, { limit, purged, scanned });
}

type Bounds = { readonly bounds: readonly Condition[]; readonly columns: readonly string[] };

function boundsOfType({ accountKey, after, before }: FeedSearch, { type, terminal }: TypeRange): Bounds {
  return {
    bounds: [
      ["e.account_id = ? and e.type = ? and e.terminal = ?", accountKey, type, terminal],
      ["(e.feed_order, e.position) > (?, ?)", ...after],
      ["e.feed_order < ?", before],
    ],
    columns: ["e.feed_order", "e.position"],
  };
}

/** The bounds name the account too, because those of the feed alone fit the index over all accounts as well. */
function boundsOfAccount({ accountKey, after, before }: FeedSearch): Bounds {
  return {
    bounds: [
      ["(e.account_id, e.feed_order, e.position) > (?, ?, ?)", accountKey, ...after],
      ["(e.account_id, e.feed_order) < (?, ?)", accountKey, before],
      isNotOperational,
    ],
    columns: ["e.account_id", "e.feed_order", "e.position"],
  };
}

function boundsOfFew({ accountKey, after, before, types, orTerminal }: FeedSearch): Bounds {
  const columns = [unindexedKey("e.feed_order"), unindexedKey("e.position")];
  return {
    bounds: [
      [`${unindexedKey("e.account_id")} = ?`, accountKey],
      [`(${columns.join(", ")}) > (?, ?)`, ...after],
      [`${unindexedKey("e.feed_order")} < ?`, before],
      // No type has a comma.
      ...(types === null ? [isNotOperational] : []),
      [`(${unindexed("e.type")} = any(string_to_array(?, ',')) or e.terminal and ?)`, types?.join(",") ?? null, orTerminal],
    ],
    columns,
  };
}

import { isNotOperational, pageOfRanges, scannedEvents, typeRangesOf } from "../../sql/reading/events.ts";
import type { EventQuery, FoundEvents } from "../../sql/reading/events.ts";
import { whereOf } from "../../sql/reading/page.ts";
import type { Condition } from "../../sql/reading/page.ts";
import { integer } from "../../sql/rows.ts";
import type { Row } from "../../sql/rows.ts";
import type { Database } from "../connection/database.ts";

type PositionSearch = EventQuery & {
  /** Position that the page begins behind, in its order; `null` for its first event. */
  readonly behind: number | null;
  /** Whether few events meet the conditions, so that the planner must not follow the positions. */
  readonly few: boolean;
};

/**
 * Finds the first `limit` events that match, as `position` and `watch_id`, merged from the ranges of their types. Goes on behind
 * hidden events that fill a page, because readers take an empty page for the end.
 */
export function findPositions(db: Database, { behind, ...query }: PositionSearch): FoundEvents {
  for (let from = behind; ;) {
    const page = readPositions(db, { ...query, behind: from });
    if (page.rows.length > 0 || page.passed === null) return page;
    from = integer(page.passed, "position");
  }
}

function readPositions(db: Database, { conditions, behind, few, order, limit, purged, ...selection }: PositionSearch): FoundEvents {
  const scanned = purged.size === 0 ? limit : limit + scannedEvents;
  const bound: Condition = [`${few ? "+" : ""}e.position ${order === "asc" ? ">" : "<"} ?`, behind];
  const find = (extra: Condition): readonly Row[] => {
    const { where, values, next } = whereOf([...conditions, bound, extra]);
    return db.all(
      `select e.position, e.watch_id from events e where ${where} order by e.position ${order} limit ?${next}`,
      ...values,
      scanned,
    );
  };
  const ranges = typeRangesOf(selection);
  const found =
    ranges === null
      ? [find(isNotOperational)]
      : ranges.map(({ type, terminal }) => find(["e.type = ? and e.terminal = ?", type, terminal]));
  const sign = order === "asc" ? 1 : -1;
  return pageOfRanges(found, (a, b) => sign * (integer(a, "position") - integer(b, "position")), { limit, purged, scanned });
}

import { isNotOperational, pageOfRanges, scannedEvents, typeRangesOf } from "../../sql/reading/events.ts";
import type { EventQuery, FoundEvents } from "../../sql/reading/events.ts";
import { whereOf } from "../../sql/reading/page.ts";
import type { Condition } from "../../sql/reading/page.ts";
import { integer } from "../../sql/rows.ts";
import type { Row } from "../../sql/rows.ts";
import type { Database } from "../connection/database.ts";

/** Finds the first `limit` events that match, as `position` and `watch_id`, merged from the ranges of their types. */
export function findPositions(db: Database, { conditions, order, limit, purged, ...selection }: EventQuery): FoundEvents {
  const scanned = purged.size === 0 ? limit : limit + scannedEvents;
  const find = (extra: readonly Condition[]): readonly Row[] => {
    const { where, values, next } = whereOf([...conditions, ...extra]);
    return db.all(
      `select e.position, e.watch_id from events e where ${where} order by e.position ${order} limit ?${next}`,
      ...values,
      scanned,
    );
  };
  const ranges = typeRangesOf(selection);
  const found =
    ranges === null
      ? [find([isNotOperational])]
      : ranges.map(({ type, terminal }) => find([["e.type = ? and e.terminal = ?", type, terminal]]));
  const sign = order === "asc" ? 1 : -1;
  return pageOfRanges(found, (a, b) => sign * (integer(a, "position") - integer(b, "position")), { limit, purged, scanned });
}

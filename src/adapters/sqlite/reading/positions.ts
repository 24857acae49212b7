import { typeRangesOf } from "../../sql/reading/events.ts";
import type { EventQuery } from "../../sql/reading/events.ts";
import { whereOf } from "../../sql/reading/page.ts";
import type { Condition } from "../../sql/reading/page.ts";
import { integer } from "../../sql/rows.ts";
import type { Database } from "../connection/database.ts";

/** Finds the first `limit` positions that match, merged from the ranges of their types. */
export function findPositions(db: Database, { conditions, order, limit, ...selection }: EventQuery): readonly number[] {
  const find = (extra: readonly Condition[]) => {
    const { where, values, next } = whereOf([...conditions, ...extra]);
    return db
      .all(`select e.position from events e where ${where} order by e.position ${order} limit ?${next}`, ...values, limit)
      .map((row) => integer(row, "position"));
  };
  const ranges = typeRangesOf(selection);
  if (ranges === null) return find([]);
  const found = ranges.flatMap(({ type, terminal }) => find([["e.type = ? and e.terminal = ?", type, terminal]]));
  return found.toSorted((a, b) => (order === "asc" ? a - b : b - a)).slice(0, limit);
}

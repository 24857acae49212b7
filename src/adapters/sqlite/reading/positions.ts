import type { EventQuery } from "../../sql/reading/events.ts";
import { whereOf } from "../../sql/reading/page.ts";
import type { Condition } from "../../sql/reading/page.ts";
import { integer } from "../../sql/rows.ts";
import type { Database } from "../connection/database.ts";

/** Finds the first `limit` positions that match. Looks up each type by itself, so that a rare type never scans the others. */
export function findPositions(db: Database, { conditions, types, orTerminal, order, limit }: EventQuery): readonly number[] {
  const find = (extra: readonly Condition[]) => {
    const { where, values, next } = whereOf([...conditions, ...extra]);
    return db
      .all(`select e.position from events e where ${where} order by e.position ${order} limit ?${next}`, ...values, limit)
      .map((row) => integer(row, "position"));
  };
  if (types === null) return find([]);
  const found = types.flatMap((type) => find([["e.type = ?", type]]));
  if (orTerminal) found.push(...find([["e.terminal = ?", 1]]));
  return [...new Set(found)].toSorted((a, b) => (order === "asc" ? a - b : b - a)).slice(0, limit);
}

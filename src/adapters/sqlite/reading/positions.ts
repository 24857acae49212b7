import type { EventQuery } from "../../sql/reading/events.ts";
import { whereOf } from "../../sql/reading/page.ts";
import type { Condition } from "../../sql/reading/page.ts";
import { integer } from "../../sql/rows.ts";
import type { Database } from "../connection/database.ts";

/** Tolerance between the order of positions and the order of times, which disagree after the clock was set back. */
const clockSlackMs = 3_600_000;

/**
 * Returns a position before which no event was recorded at or after `sinceMs`. Bisects the positions, so that events need
 * no index on their time.
 */
export function firstPositionAt(db: Database, sinceMs: number): number {
  const edge = (order: "asc" | "desc") => db.get(`select position from events order by position ${order} limit 1`);
  const [first, last] = [edge("asc"), edge("desc")];
  if (first === undefined || last === undefined) return 1;
  let low = integer(first, "position");
  let high = integer(last, "position") + 1;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const row = db.get("select position, created_at from events where position >= ? order by position limit 1", middle);
    if (row === undefined || integer(row, "created_at") >= sinceMs - clockSlackMs) high = middle;
    else low = integer(row, "position") + 1;
  }
  return low;
}

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

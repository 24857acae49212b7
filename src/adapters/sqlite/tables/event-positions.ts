import type { Database } from "../database.ts";
import { integer } from "./rows.ts";

/** Positions and times grow together, but for a clock that is set back: by so much they may disagree. */
const clockSlackMs = 3_600_000;

/**
 * A position before which no event was recorded at or after `sinceMs`: found by bisection over the positions, so that
 * events need no index on their time.
 */
export function firstPositionAt(db: Database, sinceMs: number): number {
  const bounds = db.get("select coalesce(min(position), 1) as low, coalesce(max(position), 0) + 1 as high from events");
  let low = bounds === undefined ? 1 : integer(bounds, "low");
  let high = bounds === undefined ? 1 : integer(bounds, "high");
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const row = db.get("select position, created_at from events where position >= ? order by position limit 1", middle);
    if (row === undefined || integer(row, "created_at") >= sinceMs - clockSlackMs) high = middle;
    else low = integer(row, "position") + 1;
  }
  return low;
}

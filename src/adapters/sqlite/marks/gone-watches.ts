import { goneMarkOf } from "../../../domain/deliveries/marks.ts";
import type { Mark } from "../../../domain/deliveries/marks.ts";
import { markedWatchOf } from "../../sql/marks/marked-rows.ts";
import { integer } from "../../sql/rows.ts";
import type { Row } from "../../sql/rows.ts";
import type { Database } from "../connection/database.ts";
import { runningMarks } from "./set-mark.ts";

/** Returns the mark of the 410 that ended the watch of this row, which is still active; `null` if there is none. */
export function goneMark(db: Database, accountKey: number, row: Row): Mark | null {
  return row["status"] === "active" ? goneMarkOf(markedWatchOf(row), runningMarks(db, accountKey)) : null;
}

/** Ends a watch that a mark has ended ahead of its portion. Returns whether it did. */
export function settleGone(db: Database, accountKey: number, row: Row, nowMs: number): boolean {
  const mark = goneMark(db, accountKey, row);
  if (mark === null) return false;
  db.run(
    "update watches set status = 'canceled', end_reason = 'gone', ended_at = ? where id = ?",
    Math.min(mark.createdAtMs, nowMs),
    integer(row, "id"),
  );
  db.counters.countWatches(accountKey, "active", "canceled");
  db.run("update marks set remaining = max(0, remaining - 1) where id = ?", mark.key);
  return true;
}

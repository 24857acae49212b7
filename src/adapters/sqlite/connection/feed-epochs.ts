import { randomBytes } from "node:crypto";
import type { Database } from "./database.ts";

/**
 * Begins an epoch of the feed, at every start of a server, because the file may be a restored copy. Runs in the transaction of
 * the start. `autoincrement` never uses a position twice, so its counter shows the next one, also if the newest events were
 * deleted.
 */
export function beginEpoch(db: Database, nowMs: number): void {
  db.run(
    `insert into feed_epochs (epoch, first_position, created_at)
     values (?1, coalesce((select seq from sqlite_sequence where name = 'events'), 0) + 1, ?2)`,
    randomBytes(8),
    nowMs,
  );
}

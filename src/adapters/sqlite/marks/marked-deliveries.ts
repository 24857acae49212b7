import { effectOn } from "../../../domain/deliveries/marks.ts";
import type { Mark, MarkEffect } from "../../../domain/deliveries/marks.ts";
import { isWantedOf, markedColumns, markedDeliveryOf } from "../../sql/marks/marked-rows.ts";
import type { MarkedRow } from "../../sql/marks/marked-rows.ts";
import { integer } from "../../sql/rows.ts";
import type { Database } from "../connection/database.ts";
import { hurry, refreshLanesOf, requeue } from "../deliveries/lanes.ts";
import { runningMarks } from "./set-mark.ts";

/** Reads deliveries with all that marks look at, in the order of their keys. */
export function readMarked(db: Database, deliveryKeys: readonly number[]): readonly MarkedRow[] {
  return db
    .all(
      `select ${markedColumns} from deliveries d join events e on e.position = d.event_position
         left join attempts a on a.delivery_id = d.id and a.number = d.attempt_count left join watches w on w.id = d.watch_id
       where d.id in (select value from json_each(?)) order by d.id`,
      JSON.stringify(deliveryKeys),
    )
    .map(markedDeliveryOf);
}

/** Writes what a mark does to these deliveries. Returns the number of pending ones without a lease that it canceled. */
export function writeEffects(
  db: Database,
  mark: Mark,
  rows: readonly MarkedRow[],
  nowMs: number,
): { readonly rows: number; readonly settled: number } {
  // The clock may have been set back since.
  const atMs = Math.min(mark.createdAtMs, nowMs);
  const effects = Map.groupBy(rows, (row): MarkEffect => effectOn(row, mark, (mark) => isWantedOf(row, mark)));
  const canceled = effects.get("cancel") ?? [];
  cancelDeliveries(db, canceled, atMs);
  for (const [endpointKey, group] of Map.groupBy(effects.get("requeue") ?? [], (row) => row.endpointKey))
    requeue(
      db,
      endpointKey,
      group.map(({ row }) => row),
      atMs,
    );
  for (const [endpointKey, group] of Map.groupBy(effects.get("hurry") ?? [], (row) => row.endpointKey))
    hurry(
      db,
      endpointKey,
      group.map(({ row }) => row),
      atMs,
    );
  return { rows: rows.length - (effects.get("none")?.length ?? 0), settled: canceled.filter(({ isLeased }) => !isLeased).length };
}

/** Cancels pending deliveries. A delivery in flight keeps its lease until its attempt is recorded. */
export function cancelDeliveries(db: Database, rows: readonly MarkedRow[], atMs: number): void {
  if (rows.length === 0) return;
  db.run(
    `update deliveries set status = 'canceled', settled_at = ?, next_attempt_at = null, due_at = null, retry_accepted_at = null where id in (select value from json_each(?))`,
    atMs,
    JSON.stringify(rows.map(({ key }) => key)),
  );
  db.counters.countDeliveries("pending", "canceled", rows.length);
  for (const [endpointKey, group] of Map.groupBy(rows, (row) => row.endpointKey)) {
    db.counters.countUnleased(endpointKey, -group.filter(({ isLeased }) => !isLeased).length);
    refreshLanesOf(
      db,
      endpointKey,
      group.map(({ watchKey }) => watchKey),
    );
  }
}

/**
 * Carries out the marks of an account on some of its deliveries ahead of their portions, so that an operation on these rows
 * finds them as every read shows them.
 */
export function settleMarked(db: Database, accountKey: number, deliveryKeys: readonly number[], nowMs: number): void {
  for (const mark of runningMarks(db, accountKey)) {
    if (mark.kind === "watch_purged") continue;
    const { settled } = writeEffects(db, mark, readMarked(db, deliveryKeys), nowMs);
    if (settled > 0) db.run("update marks set remaining = max(0, remaining - ?) where id = ?", settled, mark.key);
  }
}

/** Returns the keys of a select of deliveries. */
export function keysOf(db: Database, sql: string, ...values: readonly (string | number)[]): readonly number[] {
  return db.all(sql, ...values).map((row) => integer(row, "id"));
}

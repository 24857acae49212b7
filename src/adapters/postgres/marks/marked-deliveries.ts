import { effectOn } from "../../../domain/deliveries/marks.ts";
import type { Mark, MarkEffect } from "../../../domain/deliveries/marks.ts";
import { isWantedOf, markedColumns, markedDeliveryOf } from "../../sql/marks/marked-rows.ts";
import type { MarkedRow } from "../../sql/marks/marked-rows.ts";
import { integer } from "../../sql/rows.ts";
import type { Queries } from "../connection/queries.ts";
import type { Transaction } from "../connection/transaction.ts";
import { cancelPending } from "../deliveries/event-rows.ts";
import { lockEndpoints } from "../deliveries/due-bounds.ts";
import { hurry, replaceLanes, requeue } from "../deliveries/lanes.ts";
import { runningMarks } from "./set-mark.ts";

/** Locks the watches of these deliveries, then the endpoints, so that their lanes can be changed. */
export async function lockLanes(tx: Transaction, deliveryKeys: readonly number[], endpointKeys: readonly number[]): Promise<void> {
  await tx.run(
    "select 1 from watches where id = any(array(select watch_id from deliveries where id = any($1))) order by id for no key update",
    deliveryKeys,
  );
  await lockEndpoints(tx, endpointKeys);
}

/** Reads deliveries with all that marks look at, in the order of their keys. */
export async function readMarked(db: Queries, deliveryKeys: readonly number[]): Promise<readonly MarkedRow[]> {
  if (deliveryKeys.length === 0) return [];
  const rows = await db.all(
    `select ${markedColumns} from deliveries d join events e on e.position = d.event_position
       left join lateral (select * from attempts where delivery_id = d.id and number = d.attempt_count limit 1) a on true
       left join watches w on w.id = d.watch_id
     where d.id = any($1) order by d.id`,
    deliveryKeys,
  );
  return rows.map(markedDeliveryOf);
}

/**
 * Writes what a mark does to these deliveries, whose watches and endpoints are locked. Returns how many it changed, and the
 * number of pending ones without a lease that it canceled.
 */
export async function writeEffects(
  tx: Transaction,
  mark: Mark,
  rows: readonly MarkedRow[],
  nowMs: number,
): Promise<{ readonly rows: number; readonly settled: number }> {
  // The clock may have been set back since.
  const atMs = Math.min(mark.createdAtMs, nowMs);
  const effects = Map.groupBy(rows, (row): MarkEffect => effectOn(row, mark, (mark) => isWantedOf(row, mark)));
  const canceled = effects.get("cancel") ?? [];
  await cancelDeliveries(tx, canceled, atMs);
  for (const [endpointKey, group] of Map.groupBy(effects.get("requeue") ?? [], (row) => row.endpointKey))
    await requeue(
      tx,
      endpointKey,
      group.map(({ row }) => row),
      atMs,
    );
  for (const [endpointKey, group] of Map.groupBy(effects.get("hurry") ?? [], (row) => row.endpointKey))
    await hurry(
      tx,
      endpointKey,
      group.map(({ row }) => row),
      atMs,
    );
  return { rows: rows.length - (effects.get("none")?.length ?? 0), settled: canceled.filter(({ isLeased }) => !isLeased).length };
}

/** Cancels pending deliveries and recomputes their lanes; their watches and endpoints are locked. A delivery in flight keeps its lease. */
export async function cancelDeliveries(tx: Transaction, rows: readonly MarkedRow[], atMs: number): Promise<void> {
  if (rows.length === 0) return;
  await cancelPending(
    tx,
    "id",
    rows.map(({ key }) => key),
    atMs,
  );
  const watchKeys = new Set(rows.map(({ watchKey }) => watchKey).filter((key) => key !== null));
  await replaceLanes(tx, [...watchKeys], [...new Set(rows.map(({ endpointKey }) => endpointKey))]);
}

/**
 * Carries out the marks of an account on some of its deliveries ahead of their portions, so that an operation on these rows
 * finds them as every read shows them. Their watches and endpoints are locked.
 */
export async function settleMarked(tx: Transaction, accountKey: number, deliveryKeys: readonly number[], nowMs: number): Promise<void> {
  for (const mark of await runningMarks(tx, accountKey)) {
    if (mark.kind === "watch_purged" || mark.kind === "gone_watches") continue;
    const { settled } = await writeEffects(tx, mark, await readMarked(tx, deliveryKeys), nowMs);
    if (settled > 0) await tx.run("update marks set remaining = greatest(0, remaining - $1) where id = $2", settled, mark.key);
  }
}

/** Returns the keys of a select of deliveries. */
export async function keysOf(db: Queries, sql: string, ...values: readonly (string | number)[]): Promise<readonly number[]> {
  return (await db.all(sql, ...values)).map((row) => integer(row, "id"));
}

/** SQL condition: the delivery is leased, by any instance. */
export const isLeased = "lease_owner >= 0 and lease_token is not null";

import { statusesOf } from "../../../domain/deliveries/marks.ts";
import type { Mark, MarkKind } from "../../../domain/deliveries/marks.ts";
import { decodeId, newId } from "../../../domain/ids.ts";
import { insertMark, markOf, marksOfAccount } from "../../sql/marks/mark-rows.ts";
import type { NewMark } from "../../sql/marks/new-mark.ts";
import { integer, integerOrNull } from "../../sql/rows.ts";
import type { Queries, Value } from "../connection/queries.ts";
import type { Transaction } from "../connection/transaction.ts";
import { refreshDue } from "../deliveries/due-bounds.ts";

/** Sets a mark and holds its endpoints, which are locked, so that no claim takes a row that it has settled. */
export async function setMark(tx: Transaction, mark: NewMark): Promise<void> {
  const { kind, accountKey, targetKey, lastKey, remaining = 0, detail, nowMs } = mark;
  const key = decodeId(newId("mrk", nowMs));
  await Promise.all([
    tx.run(
      insertMark,
      key,
      kind,
      accountKey,
      targetKey,
      lastKey,
      Math.max(0, remaining),
      JSON.stringify({ ...detail, orderHoldMs: tx.policy.orderHoldMs }),
      nowMs,
    ),
    tx.run("update endpoints set held = held + 1 where id = any($1)", detail.held ?? []),
  ]);
}

/** Deletes a mark that is carried out, and lets its endpoints, which are locked, be claimed from again. */
export async function endMark(tx: Transaction, { key, detail: { held = [] } }: Mark): Promise<void> {
  await Promise.all([
    tx.run("delete from marks where id = $1", key),
    tx.run("update endpoints set held = held - 1 where id = any($1)", held),
    refreshDue(tx, held),
  ]);
  if (held.length > 0) tx.changed.add("deliveries");
}

/** Records what of a mark is done. */
export async function advanceMark(tx: Transaction, mark: Mark, doneKey: number, settled: number): Promise<void> {
  await tx.run("update marks set done_id = $1, remaining = greatest(0, remaining - $2) where id = $3", doneKey, settled, mark.key);
}

/** Returns the running marks of an account, the oldest first. */
export async function runningMarks(db: Queries, accountKey: number): Promise<readonly Mark[]> {
  return (await db.all(marksOfAccount, accountKey)).map(markOf);
}

/** Returns those of the targets above which a mark runs. Later work on their rows then needs a mark as well, which waits for it. */
export async function markedAmong(tx: Transaction, targetKeys: readonly number[]): Promise<ReadonlySet<number>> {
  const rows = await tx.all("select distinct target_id from marks where target_id = any($1)", targetKeys);
  return new Set(rows.map((row) => integer(row, "target_id")));
}

/** Whether a statement returns more rows than one transaction may change. Reads no more than those. */
export async function exceedsThreshold(tx: Transaction, select: string, ...values: readonly Value[]): Promise<boolean> {
  const { threshold } = tx.markSizes;
  const row = await tx.get(`select count(*) as n from (${select} limit $${values.length + 1}) found`, ...values, threshold + 1);
  return row !== undefined && integer(row, "n") > threshold;
}

/** Whether a change of the pending deliveries of an endpoint must wait for a mark, or is one itself. */
export async function needsMark(tx: Transaction, endpointKey: number): Promise<boolean> {
  const [marked, exceeds] = await Promise.all([
    markedAmong(tx, [endpointKey]),
    exceedsThreshold(tx, "select 1 from deliveries where endpoint_id = $1 and status = 'pending'", endpointKey),
  ]);
  return marked.size > 0 || exceeds;
}

/** Position of the newest event. */
export async function newestPosition(tx: Transaction): Promise<number> {
  const row = await tx.get("select position from events order by position desc limit 1");
  return row === undefined ? 0 : integer(row, "position");
}

const newestOf = (status: string) => `(select max(id) from deliveries where endpoint_id = $1 and status = '${status}')`;

/** Returns what every mark on the deliveries of an endpoint holds. */
export async function endpointMark(tx: Transaction, endpointKey: number, nowMs: number) {
  const [row, position] = await Promise.all([
    tx.get(
      `select account_id, greatest(${statusesOf("recovered").map(newestOf).join(", ")}) as last from endpoints where id = $1`,
      endpointKey,
    ),
    newestPosition(tx),
  ]);
  if (row === undefined) throw new Error(`no endpoint ${endpointKey}`);
  return {
    accountKey: integer(row, "account_id"),
    targetKey: endpointKey,
    lastKey: integerOrNull(row, "last") ?? 0,
    detail: { position },
    nowMs,
  };
}

/** Number of rows that earlier marks of a target settle and that the counters still count. */
export async function remainingOf(tx: Transaction, kind: MarkKind, targetKey: number): Promise<number> {
  const row = await tx.get("select coalesce(sum(remaining), 0) as n from marks where target_id = $1 and kind = $2", targetKey, kind);
  return row === undefined ? 0 : integer(row, "n");
}

/** SQL condition: a mark has ended the watch of this alias, whose row is still active and whose call has no mark. */
export function isGone(watch: string): string {
  return `(${goneKeysOf(watch)} limit 1) is not null`;
}

/** SQL select of the marks of 410s that have ended the watch of this alias, unless the mark of its call ended it before. */
export function goneKeysOf(watch: string): string {
  return `select m.id from marks m where m.target_id = ${watch}.endpoint_id and m.kind = 'gone_watches' and ${watch}.id > m.done_id
    and ${watch}.id <= m.last_id and ${watch}.retirements < (m.detail::json ->> 'retirements')::integer`;
}

import { statusesOf } from "../../../domain/deliveries/marks.ts";
import type { Mark, MarkKind } from "../../../domain/deliveries/marks.ts";
import { decodeId, newId } from "../../../domain/ids.ts";
import { insertMark, markOf, marksOfAccount, settlingOf, settlingSelect } from "../../sql/marks/mark-rows.ts";
import type { Settling } from "../../sql/marks/mark-rows.ts";
import type { NewMark } from "../../sql/marks/new-mark.ts";
import { integer, integerOrNull } from "../../sql/rows.ts";
import type { Database, Value } from "../connection/database.ts";
import { refreshDue } from "../deliveries/due-bounds.ts";

/** Sets a mark and holds its endpoints, so that no claim takes a row that it has settled. */
export function setMark(db: Database, { kind, accountKey, targetKey, lastKey, remaining = 0, detail, nowMs }: NewMark): void {
  const key = decodeId(newId("mrk", nowMs));
  db.run(
    insertMark,
    key,
    kind,
    accountKey,
    targetKey,
    lastKey,
    remaining,
    JSON.stringify({ ...detail, orderHoldMs: db.policy.orderHoldMs }),
    nowMs,
  );
  for (const endpointKey of detail.held ?? []) db.run("update endpoints set held = held + 1 where id = ?", endpointKey);
  db.cache.forgetMarks();
}

/** Deletes a mark that is carried out, and lets its endpoints be claimed from again. */
export function endMark(db: Database, { key, detail }: Mark): void {
  db.run("delete from marks where id = ?", key);
  db.cache.forgetMarks();
  for (const endpointKey of detail.held ?? []) {
    db.run("update endpoints set held = held - 1 where id = ?", endpointKey);
    refreshDue(db, endpointKey);
  }
}

/** Records what of a mark is done. */
export function advanceMark(db: Database, mark: Mark, doneKey: number, settled: number): void {
  db.run("update marks set done_id = ?, remaining = max(0, remaining - ?) where id = ?", doneKey, settled, mark.key);
  db.cache.forgetMarks();
}

/** Returns the running marks of an account, the oldest first. Costs nothing while no account has one. */
export function runningMarks(db: Database, accountKey: number): readonly Mark[] {
  if (!hasMarks(db)) return [];
  return db.all(marksOfAccount, accountKey).map(markOf);
}

/** Whether a mark runs whose target is this endpoint or watch. Later work on its rows then needs a mark as well, which waits for it. */
export function isMarked(db: Database, targetKey: number): boolean {
  return hasMarks(db) && db.get("select 1 from marks where target_id = ? limit 1", targetKey) !== undefined;
}

/** Whether any account has a mark. Costs nothing while none has. */
export function hasMarks(db: Database): boolean {
  const known = db.cache.hasMarks();
  if (known !== null) return known;
  const found = db.get("select 1 from marks limit 1") !== undefined;
  db.cache.keepHasMarks(found);
  return found;
}

/** Whether a statement returns more rows than one transaction may change. Reads no more than those. */
export function exceedsThreshold(db: Database, select: string, ...values: readonly Value[]): boolean {
  const { threshold } = db.markSizes;
  const row = db.get(`select count(*) as n from (${select} limit ?)`, ...values, threshold + 1);
  return row !== undefined && integer(row, "n") > threshold;
}

/** Position of the newest event. */
export function newestPosition(db: Database): number {
  const row = db.get("select max(position) as position from events");
  return row === undefined ? 0 : (integerOrNull(row, "position") ?? 0);
}

const newestOf = (status: string) => `select max(id) as id from deliveries where endpoint_id = ?1 and status = '${status}'`;
const selectNewest = `select max(id) as id from (${statusesOf("recovered").map(newestOf).join(" union all ")})`;

/** Key of the newest delivery of an endpoint that a mark may change. */
export function newestDelivery(db: Database, endpointKey: number): number {
  const row = db.get(selectNewest, endpointKey);
  return row === undefined ? 0 : (integerOrNull(row, "id") ?? 0);
}

/** Returns how many rows of an account marks have settled and the counters still count as they were. */
export function readSettling(db: Database, accountKey: number): Settling {
  return settlingOf(hasMarks(db) ? db.get(`${settlingSelect} where account_id = ?1`, accountKey) : undefined);
}

/** Number of rows that earlier marks of a target settle and that the counters still count. */
export function remainingOf(db: Database, kind: MarkKind, targetKey: number): number {
  const row = db.get("select coalesce(sum(remaining), 0) as n from marks where target_id = ? and kind = ?", targetKey, kind);
  return row === undefined ? 0 : integer(row, "n");
}

import { encodeId } from "../../../domain/ids.ts";
import type { Mark } from "../../../domain/deliveries/marks.ts";
import { dropOtherMarks, eraseRest, rowsOfEvent } from "../../sql/accounts/erasure.ts";
import type { Erased } from "../../sql/accounts/erasure.ts";
import { integer } from "../../sql/rows.ts";
import type { Row } from "../../sql/rows.ts";
import { deleteUnwatchedCall, readWatchedCall } from "../calls/watched-calls.ts";
import type { Database } from "../connection/database.ts";

/**
 * Erases the next rows of an account: its events with their deliveries, then its watches with the calls that no other account
 * has a watch on, then the rest. Each portion begins with the first, because calls that other accounts watch go on making events.
 */
export async function eraseAccount(db: Database, mark: Mark): Promise<Erased> {
  const { accountKey } = mark;
  const { portion } = db.markSizes;
  const nothing = { isDone: false, unwatchedCallIds: [], resumedCalls: [] };
  await dropOtherMarks(db, mark);
  // The transaction deletes what the cache may have.
  db.cache.forgetAll();
  const events = db.run(
    "delete from events where position in (select position from events where account_id = ? order by position limit ?)",
    accountKey,
    Math.ceil(portion / rowsOfEvent),
  );
  if (events > 0) return { ...nothing, rows: events };
  const watches = db.all(
    `delete from watches where id in (select id from watches where account_id = ? order by account_id, status, id limit ?)
     returning call_id`,
    accountKey,
    portion,
  );
  if (watches.length > 0) return { isDone: false, rows: watches.length, ...settleCalls(db, watches) };
  const rest = await eraseRest(db, accountKey, portion, (table, rows) => deleteRows(db, table, rows));
  return { ...nothing, rows: rest, isDone: rest === 0 };
}

function settleCalls(db: Database, watches: readonly Row[]): Pick<Erased, "unwatchedCallIds" | "resumedCalls"> {
  const callKeys = [...new Set(watches.map((row) => integer(row, "call_id")))];
  for (const callKey of callKeys) deleteUnwatchedCall(db, callKey);
  const calls = callKeys.map((callKey) => [callKey, readWatchedCall(db, callKey)] as const);
  return {
    unwatchedCallIds: calls.filter(([, call]) => call === null).map(([callKey]) => encodeId("call", callKey)),
    resumedCalls: calls.flatMap(([, call]) => call ?? []),
  };
}

function deleteRows(db: Database, table: string, rows: readonly Row[]): number {
  return db.run(`delete from ${table} where id in (select value from json_each(?))`, JSON.stringify(rows.map((row) => row["id"])));
}

import { decodeId, encodeId } from "../../../domain/ids.ts";
import type { Mark } from "../../../domain/deliveries/marks.ts";
import { dropOtherMarks, eraseRest, rowsOfEvent } from "../../sql/accounts/erasure.ts";
import type { Erased } from "../../sql/accounts/erasure.ts";
import { integer } from "../../sql/rows.ts";
import type { Row } from "../../sql/rows.ts";
import { deleteUnwatchedCalls, readWatchedCalls, settleWatching } from "../calls/watched-calls.ts";
import type { Transaction } from "../connection/transaction.ts";
import { lockEndpoints } from "../deliveries/due-bounds.ts";

/**
 * Erases the next rows of an account: its events with their deliveries, then its watches with the calls that no other account
 * has a watch on, then the rest. Each portion begins with the first, because calls that other accounts watch go on making events.
 */
export async function eraseAccount(tx: Transaction, mark: Mark): Promise<Erased> {
  const { accountKey } = mark;
  const { portion } = tx.markSizes;
  const nothing = { isDone: false, unwatchedCallIds: [], resumedCalls: [] };
  await dropOtherMarks(tx, mark);
  const events = await eraseEvents(tx, accountKey, Math.ceil(portion / rowsOfEvent));
  if (events > 0) return { ...nothing, rows: events };
  const watches = await tx.all(
    `select id, call_id from watches where (account_id, status, id) >= ($1, '', 0) and account_id <= $1 order by account_id, status, id limit $2`,
    accountKey,
    portion,
  );
  if (watches.length > 0) return { isDone: false, rows: watches.length, ...(await eraseWatches(tx, watches)) };
  const rest = await eraseRest(tx, accountKey, portion, (table, rows) =>
    tx.run(
      `delete from ${table} where id = any($1)`,
      rows.map((row) => row["id"] as number | string),
    ),
  );
  if (rest === 0) {
    for (const table of ["counts", "count_changes"]) await tx.run(`delete from ${table} where owner_id = $1`, accountKey);
    for (const table of ["account_activity", "account_activity_changes"])
      await tx.run(`delete from ${table} where account_id = $1`, accountKey);
  }
  return { ...nothing, rows: rest, isDone: rest === 0 };
}

/** Deletes the oldest events of the account with their deliveries, whose endpoints are locked first. */
async function eraseEvents(tx: Transaction, accountKey: number, limit: number): Promise<number> {
  const rows = await tx.all(
    `select position, feed_order from events where (account_id, feed_order, position) >= ($1, 0, 0) and account_id <= $1
     order by account_id, feed_order, position limit $2`,
    accountKey,
    limit,
  );
  const positions = rows.map((row) => integer(row, "position"));
  if (positions.length === 0) return 0;
  const deliveries = await tx.all("select distinct endpoint_id from deliveries where event_position = any($1)", positions);
  await lockEndpoints(
    tx,
    deliveries.map((row) => integer(row, "endpoint_id")),
  );
  // A later epoch must not begin at or before an event that a reader has seen.
  await tx.run(
    "update feed_base set purged_to = $1 where $1 > purged_to and not exists (select 1 from events where feed_order > $1)",
    Math.max(...rows.map((row) => integer(row, "feed_order"))),
  );
  return tx.run("delete from events where position = any($1)", positions);
}

async function eraseWatches(tx: Transaction, watches: readonly Row[]): Promise<Pick<Erased, "unwatchedCallIds" | "resumedCalls">> {
  const callKeys = [...new Set(watches.map((row) => integer(row, "call_id")))];
  const watchKeys = watches.map((row) => integer(row, "id"));
  await tx.run("select 1 from calls where id = any($1) order by id for update", callKeys);
  await tx.run("select 1 from watches where id = any($1) order by id for update", watchKeys);
  await tx.run("delete from watches where id = any($1)", watchKeys);
  await settleWatching(tx, tx.token, callKeys);
  await deleteUnwatchedCalls(tx, callKeys);
  tx.changed.add("watches").add("calls");
  const [watched, own] = await Promise.all([
    readWatchedCalls(tx, callKeys),
    tx.all("select id from calls where id = any($1) and owner_token = $2", callKeys, tx.token),
  ]);
  const watchedKeys = new Set(watched.map(({ callId }) => decodeId(callId)));
  const ownKeys = new Set(own.map((row) => integer(row, "id")));
  return {
    unwatchedCallIds: callKeys.filter((key) => !watchedKeys.has(key)).map((key) => encodeId("call", key)),
    resumedCalls: watched.filter(({ callId }) => ownKeys.has(decodeId(callId))),
  };
}

import { canceledNoticeOf } from "../../sql/canceled-notices.ts";
import type { RetireResult } from "../../sql/canceled-notices.ts";
import { id, integer } from "../../sql/rows.ts";
import type { Row } from "../../sql/rows.ts";
import { settleWatching } from "../calls/watched-calls.ts";
import type { Transaction } from "../connection/transaction.ts";
import { isStatus } from "../reading/page.ts";

/** Ends these locked watches after a 410 of their endpoint; their calls are locked. */
export async function endWatches(tx: Transaction, watchKeys: readonly number[], atMs: number): Promise<RetireResult> {
  const watches = await tx.all(
    `update watches set status = 'canceled', end_reason = 'gone', ended_at = $2 where id = any($1) and ${isStatus("status", "active")}
     returning id, account_id, call_id, endpoint_id, sequence`,
    watchKeys,
    atMs,
  );
  return retireResultOf(watches, await settleCalls(tx, watches));
}

/** Updates the calls of watches that ended. Returns those that are still watched. */
export async function settleCalls(tx: Transaction, watches: readonly Row[]): Promise<ReadonlySet<number>> {
  const callKeys = [...new Set(watches.map((row) => integer(row, "call_id")))];
  tx.changed.add("watches").add("calls");
  const [, watched] = await Promise.all([
    settleWatching(tx, tx.token, callKeys),
    tx.all("select id from calls where id = any($1) and watched", callKeys),
  ]);
  return new Set(watched.map((row) => integer(row, "id")));
}

export function retireResultOf(watches: readonly Row[], stillWatched: ReadonlySet<number>): RetireResult {
  const ended = watches.toSorted((a, b) => integer(a, "id") - integer(b, "id"));
  return {
    unwatchedCallIds: [
      ...new Set(ended.filter((row) => !stillWatched.has(integer(row, "call_id"))).map((row) => id(row, "call", "call_id"))),
    ],
    notices: ended.map(canceledNoticeOf),
  };
}

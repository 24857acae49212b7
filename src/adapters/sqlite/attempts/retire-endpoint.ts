import { encodeId } from "../../../domain/ids.ts";
import type { Notice } from "../../../ports/stores/call-store.ts";
import { id, integer } from "../../sql/rows.ts";
import { readWatchedCall } from "../calls/watched-calls.ts";
import type { Database } from "../connection/database.ts";
import { cancelPending } from "../deliveries/event-rows.ts";

export type RetireResult = { readonly unwatchedCallIds: readonly string[]; readonly notices: readonly Notice[] };

/** Ends the endpoint after a 410: cancels its watches and pending deliveries and disables its hooks. */
export function retireEndpoint(db: Database, endpointKey: number, nowMs: number): RetireResult {
  const watches = db.all("select id, account_id, call_id, sequence from watches where endpoint_id = ? and status = 'active'", endpointKey);
  db.run(
    "update watches set status = 'canceled', end_reason = 'gone', ended_at = ? where endpoint_id = ? and status = 'active'",
    nowMs,
    endpointKey,
  );
  for (const row of watches) db.counters.countWatches(integer(row, "account_id"), "active", "canceled");
  db.run("update hooks set disabled_at = ? where endpoint_id = ? and disabled_at is null", nowMs, endpointKey);
  cancelPending(db, "endpoint_id", endpointKey, nowMs);
  const callKeys = [...new Set(watches.map((row) => integer(row, "call_id")))];
  return {
    unwatchedCallIds: callKeys.filter((callKey) => readWatchedCall(db, callKey) === null).map((callKey) => encodeId("call", callKey)),
    notices: watches.map((row) => ({
      accountId: id(row, "acc", "account_id"),
      watchId: id(row, "wch", "id"),
      callSid: null,
      sequence: integer(row, "sequence"),
      eventType: "watch.canceled",
    })),
  };
}

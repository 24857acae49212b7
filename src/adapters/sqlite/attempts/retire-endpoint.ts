import type { Notice } from "../../../ports/stores/call-store.ts";
import { integer, text } from "../../sql/rows.ts";
import { readWatchedCall } from "../calls/watched-calls.ts";
import type { Database } from "../connection/database.ts";
import { cancelPending } from "../deliveries/event-rows.ts";

export type RetireResult = { readonly unwatchedCallIds: readonly string[]; readonly notices: readonly Notice[] };

/** Ends the endpoint after a 410: cancels its watches and pending deliveries and disables its hooks. */
export function retireEndpoint(db: Database, endpointId: string, nowMs: number): RetireResult {
  const watches = db.all("select id, account_id, call_id, sequence from watches where endpoint_id = ? and status = 'active'", endpointId);
  db.run(
    "update watches set status = 'canceled', end_reason = 'gone', ended_at = ? where endpoint_id = ? and status = 'active'",
    nowMs,
    endpointId,
  );
  db.run("update hooks set disabled_at = ? where endpoint_id = ? and disabled_at is null", nowMs, endpointId);
  cancelPending(db, "endpoint_id", endpointId, nowMs);
  const callIds = [...new Set(watches.map((row) => text(row, "call_id")))];
  return {
    unwatchedCallIds: callIds.filter((callId) => readWatchedCall(db, callId) === null),
    notices: watches.map((row) => ({
      accountId: text(row, "account_id"),
      watchId: text(row, "id"),
      sequence: integer(row, "sequence"),
      eventType: "watch.canceled",
    })),
  };
}

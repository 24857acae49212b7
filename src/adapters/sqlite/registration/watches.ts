import type { RegistrationStore, RemoveWatchResult } from "../../../ports/stores/registration-store.ts";
import { integer, text } from "../../sql/rows.ts";
import { deleteUnwatchedCall, readWatchedCall } from "../calls/watched-calls.ts";
import type { Database } from "../connection/database.ts";
import { cancelPending } from "../deliveries/event-rows.ts";

export const writes = { removeWatch };

/** Cancels the pending deliveries of a watch in any state. A watch that has ended keeps its status. */
function removeWatch(db: Database, request: Parameters<RegistrationStore["removeWatch"]>[0]): RemoveWatchResult {
  const { accountId, watchId, nowMs } = request;
  const row = db.get("select call_id, status, sequence from watches where id = ? and account_id = ?", watchId, accountId);
  if (row === undefined) return { kind: "unknown" };
  const callId = text(row, "call_id");
  const active = row["status"] === "active";
  if (request.purge) {
    // Foreign keys delete its events, their deliveries and attempts.
    db.run("delete from watches where id = ?", watchId);
    deleteUnwatchedCall(db, callId);
  } else {
    cancelPending(db, "watch_id", watchId, nowMs);
    db.run("update watches set deleted_at = ? where id = ? and deleted_at is null", nowMs, watchId);
    if (active) db.run("update watches set status = 'canceled', end_reason = 'deleted', ended_at = ? where id = ?", nowMs, watchId);
  }
  const notices = active ? [{ accountId, watchId, sequence: integer(row, "sequence"), eventType: "watch.canceled" }] : [];
  return { kind: "removed", callId, call: readWatchedCall(db, callId), notices };
}

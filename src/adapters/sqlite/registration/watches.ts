import { decodeId } from "../../../domain/ids.ts";
import type { RegistrationStore, RemoveWatchResult } from "../../../ports/stores/registration-store.ts";
import { id, integer } from "../../sql/rows.ts";
import { deleteUnwatchedCall, readWatchedCall } from "../calls/watched-calls.ts";
import type { Database } from "../connection/database.ts";
import { cancelPending } from "../deliveries/event-rows.ts";

export const writes = { removeWatch };

/** Cancels the pending deliveries of a watch in any state. A watch that has ended keeps its status. */
function removeWatch(db: Database, request: Parameters<RegistrationStore["removeWatch"]>[0]): RemoveWatchResult {
  const { accountId, watchId, nowMs } = request;
  const watchKey = decodeId(watchId);
  const row = db.get("select call_id, status, sequence from watches where id = ? and account_id = ?", watchKey, decodeId(accountId));
  if (row === undefined) return { kind: "unknown" };
  const callKey = integer(row, "call_id");
  const active = row["status"] === "active";
  if (request.purge) {
    // Foreign keys delete its events, their deliveries and attempts.
    db.run("delete from watches where id = ?", watchKey);
    deleteUnwatchedCall(db, callKey);
  } else {
    cancelPending(db, "watch_id", watchKey, nowMs);
    db.run("update watches set deleted_at = ? where id = ? and deleted_at is null", nowMs, watchKey);
    if (active) {
      db.run("update watches set status = 'canceled', end_reason = 'deleted', ended_at = ? where id = ?", nowMs, watchKey);
      db.counters.countWatches(decodeId(accountId), "active", "canceled");
    }
  }
  const notices = active ? [{ accountId, watchId, callSid: null, sequence: integer(row, "sequence"), eventType: "watch.canceled" }] : [];
  return { kind: "removed", callId: id(row, "call", "call_id"), call: readWatchedCall(db, callKey), notices };
}

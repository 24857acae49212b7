import type { RegistrationStore, RemoveWatchResult } from "../../../ports/registration-store.ts";
import type { Database } from "../database.ts";
import { cancelPending } from "../tables/deliveries.ts";
import { integer, text } from "../tables/rows.ts";
import { readWatchedCall } from "../tables/watched-call.ts";

export function removeWatch(db: Database, request: Parameters<RegistrationStore["removeWatch"]>[0]): RemoveWatchResult {
  const { accountId, watchId, nowMs } = request;
  const row = db.get("select * from watches where id = ? and account_id = ?", watchId, accountId);
  if (row === undefined) return { kind: "unknown" };
  const callId = text(row, "call_id");
  if (row["status"] === "active" || request.purge) cancelPending(db, "watch_id", watchId, nowMs);
  const notices =
    row["status"] === "active" ? [{ accountId, watchId, sequence: integer(row, "sequence"), eventType: "watch.canceled" }] : [];
  // Its events, their deliveries and attempts go with it.
  if (request.purge) db.run("delete from watches where id = ?", watchId);
  else
    db.run(
      "update watches set status = 'canceled', end_reason = 'deleted', ended_at = ? where id = ? and status = 'active'",
      nowMs,
      watchId,
    );
  return { kind: "removed", callId, call: readWatchedCall(db, callId), notices };
}

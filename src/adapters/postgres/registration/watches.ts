import type { RegistrationStore, RemoveWatchResult } from "../../../ports/stores/registration-store.ts";
import { integer, text } from "../../sql/rows.ts";
import type { Transaction } from "../connection/transaction.ts";
import { cancelPending } from "../deliveries/event-rows.ts";
import { lockEndpoints, refreshDue } from "../deliveries/due-bounds.ts";
import { deleteUnwatchedCalls, readWatchedCalls, settleWatching } from "../calls/watched-calls.ts";

export const writes = { removeWatch };

/** Cancels or purges a watch and its pending deliveries. A watch that has ended keeps its status. */
async function removeWatch(tx: Transaction, request: Parameters<RegistrationStore["removeWatch"]>[0]): Promise<RemoveWatchResult> {
  const { accountId, watchId, nowMs } = request;
  const watch = await tx.get("select call_id from watches where id = $1 and account_id = $2", watchId, accountId);
  if (watch === undefined) return { kind: "unknown" };
  const callId = text(watch, "call_id");
  const [, row, pending] = await Promise.all([
    tx.run("select 1 from calls where id = $1 for update", callId),
    tx.get("select status, sequence from watches where id = $1 for update", watchId),
    tx.all("select distinct endpoint_id from deliveries where watch_id = $1 and (status = 'pending' or lease_token is not null)", watchId),
  ]);
  if (row === undefined) return { kind: "unknown" };
  const active = row["status"] === "active";
  const endpointIds = pending.map((delivery) => text(delivery, "endpoint_id"));
  await lockEndpoints(tx, endpointIds);
  if (request.purge) {
    // The foreign keys delete its events, their deliveries and attempts.
    await tx.run("delete from watches where id = $1", watchId);
    await refreshDue(tx, endpointIds);
    await deleteUnwatchedCalls(tx, [callId]);
  } else {
    await cancelPending(tx, "watch_id", [watchId], nowMs);
    await tx.run(
      `update watches set deleted_at = coalesce(deleted_at, $2), status = case when status = 'active' then 'canceled' else status end,
         end_reason = case when status = 'active' then 'deleted' else end_reason end, ended_at = case when status = 'active' then $2 else ended_at end
       where id = $1`,
      watchId,
      nowMs,
    );
  }
  tx.changed.add("watches");
  if (!active) return { kind: "removed", callId, call: await ownCall(tx, callId), notices: [] };
  tx.changed.add("calls");
  await settleWatching(tx, tx.token, [callId]);
  const notices = [{ accountId, watchId, sequence: integer(row, "sequence"), eventType: "watch.canceled" }];
  return { kind: "removed", callId, call: await ownCall(tx, callId), notices };
}

/** Returns the call with its remaining active watches; `null` if it has none or this instance does not own it. */
async function ownCall(tx: Transaction, callId: string) {
  const [owned, [call]] = await Promise.all([
    tx.get("select 1 from calls where id = $1 and owner_token = $2", callId, tx.token),
    readWatchedCalls(tx, [callId]),
  ]);
  return owned === undefined ? null : (call ?? null);
}

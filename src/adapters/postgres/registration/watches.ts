import { decodeId, encodeId } from "../../../domain/ids.ts";
import type { RegistrationStore, RemoveWatchResult } from "../../../ports/stores/registration-store.ts";
import { integer } from "../../sql/rows.ts";
import type { Transaction } from "../connection/transaction.ts";
import { cancelPending } from "../deliveries/event-rows.ts";
import { lockEndpoints, refreshDue } from "../deliveries/due-bounds.ts";
import { isStatus } from "../reading/page.ts";
import { deleteUnwatchedCalls, readWatchedCalls, settleWatching } from "../calls/watched-calls.ts";

export const writes = { removeWatch };

/** Cancels or purges a watch and its pending deliveries. A watch that has ended keeps its status. */
async function removeWatch(tx: Transaction, request: Parameters<RegistrationStore["removeWatch"]>[0]): Promise<RemoveWatchResult> {
  const { accountId, watchId, nowMs } = request;
  const watchKey = decodeId(watchId);
  const watch = await tx.get("select call_id from watches where id = $1 and account_id = $2", watchKey, decodeId(accountId));
  if (watch === undefined) return { kind: "unknown" };
  const callKey = integer(watch, "call_id");
  const callId = encodeId("call", callKey);
  const [, row, pending] = await Promise.all([
    tx.run("select 1 from calls where id = $1 for update", callKey),
    tx.get("select status, sequence from watches where id = $1 for update", watchKey),
    tx.all(
      `select distinct d.endpoint_id from events e join deliveries d on d.event_position = e.position
       where e.watch_id = $1 and (${isStatus("d.status", "pending")} or d.lease_token is not null)`,
      watchKey,
    ),
  ]);
  if (row === undefined) return { kind: "unknown" };
  const active = row["status"] === "active";
  const endpointKeys = pending.map((delivery) => integer(delivery, "endpoint_id"));
  await lockEndpoints(tx, endpointKeys);
  if (request.purge) {
    // The foreign keys delete its events, their deliveries and attempts.
    await tx.run("delete from watches where id = $1", watchKey);
    await refreshDue(tx, endpointKeys);
    await deleteUnwatchedCalls(tx, [callKey]);
  } else {
    await cancelPending(tx, "watch_id", [watchKey], nowMs);
    await tx.run(
      `update watches set deleted_at = coalesce(deleted_at, $2), status = case when status = 'active' then 'canceled' else status end,
         end_reason = case when status = 'active' then 'deleted' else end_reason end, ended_at = case when status = 'active' then $2 else ended_at end
       where id = $1`,
      watchKey,
      nowMs,
    );
  }
  tx.changed.add("watches");
  if (!active) return { kind: "removed", callId, call: await ownCall(tx, callKey), notices: [] };
  tx.changed.add("calls");
  await settleWatching(tx, tx.token, [callKey]);
  const notices = [{ accountId, watchId, callSid: null, sequence: integer(row, "sequence"), eventType: "watch.canceled" }];
  return { kind: "removed", callId, call: await ownCall(tx, callKey), notices };
}

/** Returns the call with its remaining active watches; `null` if it has none or this instance does not own it. */
async function ownCall(tx: Transaction, callKey: number) {
  const [owned, [call]] = await Promise.all([
    tx.get("select 1 from calls where id = $1 and owner_token = $2", callKey, tx.token),
    readWatchedCalls(tx, [callKey]),
  ]);
  return owned === undefined ? null : (call ?? null);
}

import type { RegistrationStore, RemovedHook } from "../../../ports/stores/registration-store.ts";
import type { Database } from "../connection/database.ts";
import { replaceLane } from "../deliveries/lanes.ts";
import { filterOf, isSubscribedRow, text, textOrNull } from "../../sql/rows.ts";

/** What the hook alone asked for is canceled; what a watch or another hook with its URL asked for too is still owed. */
export function removeHook(db: Database, request: Parameters<RegistrationStore["removeHook"]>[0]): RemovedHook {
  const row = db.get("delete from hooks where id = ? and account_id = ? returning endpoint_id", request.hookId, request.accountId);
  if (row === undefined) return { endpointId: null, canceledLeased: [] };
  const endpointId = text(row, "endpoint_id");
  const otherFilters = db.all("select events from hooks where endpoint_id = ?", endpointId).map(filterOf);
  const owed = db.all(
    `select d.id, d.watch_id, d.lease_token, e.account_id, e.id as event_id, e.type as event_type, e.timestamp, e.data, w.endpoint_id = d.endpoint_id as to_watch, w.events
     from deliveries d join events e on e.position = d.event_position left join watches w on w.id = d.watch_id
     where d.endpoint_id = ? and d.status = 'pending' and e.type <> 'endpoint.test'`,
    endpointId,
  );
  const lanes = new Set<string>();
  const canceledLeased: string[] = [];
  for (const delivery of owed) {
    if (isSubscribedRow(delivery, otherFilters)) continue;
    if (delivery["lease_token"] !== null) canceledLeased.push(text(delivery, "id"));
    db.run(
      "update deliveries set status = 'canceled', settled_at = ?, next_attempt_at = null, due_at = null where id = ?",
      request.nowMs,
      text(delivery, "id"),
    );
    const watchId = textOrNull(delivery, "watch_id");
    if (watchId !== null) lanes.add(watchId);
  }
  // What waited behind a canceled one waits no more.
  for (const watchId of lanes) replaceLane(db, watchId, endpointId);
  return { endpointId, canceledLeased };
}

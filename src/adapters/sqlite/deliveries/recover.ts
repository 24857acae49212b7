import { decodeId } from "../../../domain/ids.ts";
import type { DeliveryStore } from "../../../ports/stores/delivery-store.ts";
import type { Database } from "../connection/database.ts";
import { requeue } from "./lanes.ts";

export const writes = { recover };

/**
 * Requeues the failed deliveries of a period. Leaves pending, delivered and in-flight ones alone, so that a repeat requeues
 * none of them again.
 */
function recover(db: Database, request: Parameters<DeliveryStore["recover"]>[0]): Awaited<ReturnType<DeliveryStore["recover"]>> {
  const { accountId, sinceMs, untilMs, nowMs } = request;
  const endpointKey = decodeId(request.endpointId);
  const endpoint = db.get("select state from endpoints where id = ? and account_id = ?", endpointKey, decodeId(accountId));
  if (endpoint === undefined) return { kind: "unknown" };
  if (endpoint["state"] === "disabled") return { kind: "endpoint_disabled" };
  const rows = db.all(
    `select d.id, d.watch_id, d.status from deliveries d join events e on e.position = d.event_position
     where d.endpoint_id = ? and d.status in ('exhausted', 'failed', 'expired') and d.lease_token is null
       and e.type <> 'endpoint.test' and e.created_at >= ? and e.created_at <= ?
       and not exists (select 1 from watches w where w.id = d.watch_id and w.deleted_at is not null)`,
    endpointKey,
    sinceMs,
    untilMs,
  );
  requeue(db, endpointKey, rows, nowMs);
  return { kind: "recovered", count: rows.length };
}

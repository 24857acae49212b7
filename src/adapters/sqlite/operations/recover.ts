import type { DeliveryStore } from "../../../ports/delivery-store.ts";
import type { Database } from "../database.ts";
import { refreshDue } from "../tables/due.ts";
import { replaceLane } from "../tables/lanes.ts";
import { text, textOrNull } from "../tables/rows.ts";

/** A fresh schedule for each; what is pending, delivered or on the wire is not touched, so asking twice recovers nothing twice. */
export function recover(db: Database, request: Parameters<DeliveryStore["recover"]>[0]): Awaited<ReturnType<DeliveryStore["recover"]>> {
  const { accountId, endpointId, sinceMs, untilMs, nowMs } = request;
  const endpoint = db.get("select state from endpoints where id = ? and account_id = ?", endpointId, accountId);
  if (endpoint === undefined) return { kind: "unknown" };
  if (endpoint["state"] === "disabled") return { kind: "endpoint_disabled" };
  const rows = db.all(
    `select d.id, d.watch_id from deliveries d join events e on e.position = d.event_position
     where d.endpoint_id = ? and d.status in ('exhausted', 'failed', 'expired') and d.lease_token is null
       and e.type <> 'endpoint.test' and e.created_at >= ? and e.created_at <= ?`,
    endpointId,
    sinceMs,
    untilMs,
  );
  for (const row of rows)
    db.run(
      `update deliveries set status = 'pending', steps_spent = 0, next_attempt_at = ?1, due_at = ?1, first_attempt_at = null, first_failed_at = null,
         settled_at = null where id = ?2`,
      nowMs,
      text(row, "id"),
    );
  for (const watchId of new Set(rows.map((row) => textOrNull(row, "watch_id")))) if (watchId !== null) replaceLane(db, watchId, endpointId);
  refreshDue(db, endpointId);
  return { kind: "recovered", count: rows.length };
}

import type { DeliveryStore } from "../../../ports/delivery-store.ts";
import type { Database } from "../database.ts";
import { lowerDue } from "../tables/due.ts";
import { integerOrNull, text } from "../tables/rows.ts";

export function releaseDeliveries(db: Database, leases: Parameters<DeliveryStore["releaseDeliveries"]>[0]): void {
  for (const { deliveryId, leaseToken } of leases) {
    const row = db.get("select endpoint_id, status, due_at from deliveries where id = ? and lease_token = ?", deliveryId, leaseToken);
    if (row === undefined) continue;
    db.run("update deliveries set lease_token = null where id = ?", deliveryId);
    const dueAtMs = integerOrNull(row, "due_at");
    if (row["status"] === "pending" && dueAtMs !== null) lowerDue(db, text(row, "endpoint_id"), dueAtMs);
  }
}

import type { DeliveryStore } from "../../../ports/stores/delivery-store.ts";
import type { Database, Row } from "../connection/database.ts";
import { freeLeases } from "./due-bounds.ts";

export function releaseDeliveries(db: Database, ...[leases, nowMs]: Parameters<DeliveryStore["releaseDeliveries"]>): void {
  const held = leases
    .map(({ deliveryId, leaseToken }) =>
      db.get("select id, endpoint_id, status, next_attempt_at from deliveries where id = ? and lease_token = ?", deliveryId, leaseToken),
    )
    .filter((row): row is Row => row !== undefined);
  freeLeases(db, held, nowMs);
}

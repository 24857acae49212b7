import type { DeliveryStore } from "../../../ports/stores/delivery-store.ts";
import type { Transaction } from "../database.ts";
import { freeLeasesHeld } from "../tables/due.ts";

export async function releaseDeliveries(
  tx: Transaction,
  ...[leases, nowMs]: Parameters<DeliveryStore["releaseDeliveries"]>
): Promise<void> {
  if (leases.length > 0) await freeLeasesHeld(tx, leases, nowMs);
}

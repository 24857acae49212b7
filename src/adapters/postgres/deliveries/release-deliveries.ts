import type { DeliveryStore } from "../../../ports/stores/delivery-store.ts";
import type { Transaction } from "../connection/transaction.ts";
import { freeLeasesHeld } from "./due-bounds.ts";

export async function releaseDeliveries(
  tx: Transaction,
  ...[leases, nowMs]: Parameters<DeliveryStore["releaseDeliveries"]>
): Promise<void> {
  if (leases.length > 0) await freeLeasesHeld(tx, leases, nowMs);
}

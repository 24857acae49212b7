import type { Attempt } from "../../../domain/deliveries/attempt.ts";
import type { DeliveryView } from "../../../ports/stores/read-store.ts";
import type { Database } from "../connection/database.ts";
import { attemptOf } from "../../sql/rows.ts";
import { readDeliveryView } from "./selects.ts";

export function getDelivery(
  db: Database,
  accountId: string,
  deliveryId: string,
): { readonly view: DeliveryView; readonly attempts: readonly Attempt[] } | null {
  const view = readDeliveryView(db, accountId, deliveryId);
  if (view === null) return null;
  return {
    view,
    attempts: db.all("select * from attempts where delivery_id = ? order by number", deliveryId).map(attemptOf),
  };
}

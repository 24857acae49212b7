import type { Attempt } from "../../../domain/deliveries/attempt.ts";
import type { DeliveryView } from "../../../ports/stores/read-store.ts";
import type { Queries } from "../connection/queries.ts";
import { attemptOf } from "../../sql/rows.ts";
import { readDeliveryView } from "./selects.ts";

export async function getDelivery(
  db: Queries,
  accountId: string,
  deliveryId: string,
): Promise<{ readonly view: DeliveryView; readonly attempts: readonly Attempt[] } | null> {
  const view = await readDeliveryView(db, accountId, deliveryId);
  if (view === null) return null;
  const attempts = await db.all("select * from attempts where delivery_id = $1 order by number", deliveryId);
  return { view, attempts: attempts.map(attemptOf) };
}

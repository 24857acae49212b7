import type { Attempt } from "../../../domain/deliveries/attempt.ts";
import type { DeliveryView, Page, ReadStore } from "../../../ports/stores/read-store.ts";
import { attemptOf } from "../../sql/rows.ts";
import { deliveryViewOf } from "../../sql/view-rows.ts";
import type { Queries } from "../connection/queries.ts";
import { listByIds, unindexed } from "./page.ts";
import { deliverySelect, readDeliveryView } from "./selects.ts";

export const reads = { getDelivery, listDeliveries };

async function getDelivery(
  db: Queries,
  accountId: string,
  deliveryId: string,
): Promise<{ readonly view: DeliveryView; readonly attempts: readonly Attempt[] } | null> {
  const view = await readDeliveryView(db, accountId, deliveryId);
  if (view === null) return null;
  const attempts = await db.all("select * from attempts where delivery_id = $1 order by number", deliveryId);
  return { view, attempts: attempts.map(attemptOf) };
}

const indexed = (column: string) => column;

async function listDeliveries(db: Queries, query: Parameters<ReadStore["listDeliveries"]>[0]): Promise<Page<DeliveryView>> {
  // A watch has few deliveries and an endpoint has fewer than its account, so the narrowest condition alone uses an index.
  const ofEndpoint = query.watchId === null ? indexed : unindexed;
  const ofAccount = query.endpointId === null ? ofEndpoint : unindexed;
  const conditions = [
    [`${ofAccount("d.account_id")} = ?`, query.accountId],
    [`${ofEndpoint("d.endpoint_id")} = ?`, query.endpointId],
    ["d.watch_id = ?", query.watchId],
    [`${ofAccount("d.status")} = ?`, query.status],
  ] as const;
  return listByIds(db, deliverySelect, ofEndpoint("d.id"), conditions, query, deliveryViewOf);
}

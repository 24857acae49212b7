import type { DeliveryView, Page, ReadStore } from "../../../ports/stores/read-store.ts";
import { listByIds } from "../../sql/reading/page.ts";
import { deliveryViewOf } from "../../sql/view-rows.ts";
import type { Queries } from "../connection/queries.ts";
import { unindexed } from "./page.ts";
import { deliverySelect } from "./selects.ts";

export const reads = { listDeliveries };

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

import type { DeliveryView, Page, ReadStore } from "../../../ports/stores/read-store.ts";
import { listByIds } from "../../sql/reading/page.ts";
import { deliveryViewOf } from "../../sql/view-rows.ts";
import type { Database } from "../connection/database.ts";
import { deliverySelect } from "./selects.ts";

export const reads = { listDeliveries };

function listDeliveries(db: Database, query: Parameters<ReadStore["listDeliveries"]>[0]): Promise<Page<DeliveryView>> {
  // A watch or an endpoint has fewer deliveries than its account, so the + keeps the planner off the account's index.
  const offIndex = query.watchId === null && query.endpointId === null ? "" : "+";
  const conditions = [
    [`${offIndex}d.account_id = ?`, query.accountId],
    ["d.endpoint_id = ?", query.endpointId],
    ["d.watch_id = ?", query.watchId],
    [`${offIndex}d.status = ?`, query.status],
  ] as const;
  return listByIds(db, deliverySelect, "d.id", conditions, query, deliveryViewOf);
}

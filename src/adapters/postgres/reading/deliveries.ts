import { deliveryStatuses } from "../../../domain/deliveries/delivery.ts";
import { decodeId } from "../../../domain/ids.ts";
import type { DeliveryView, Page, ReadStore } from "../../../ports/stores/read-store.ts";
import { keyOrNull } from "../../sql/rows.ts";
import { listByIds } from "../../sql/reading/page.ts";
import type { Condition } from "../../sql/reading/page.ts";
import { deliveryViewOf } from "../../sql/view-rows.ts";
import type { Queries } from "../connection/queries.ts";
import { amongNewest, unindexed, unindexedKey } from "./page.ts";
import { deliverySelect } from "./selects.ts";

export const reads = { listDeliveries };

type ListQuery = Parameters<ReadStore["listDeliveries"]>[0];

async function listDeliveries(db: Queries, query: ListQuery): Promise<Page<DeliveryView>> {
  const accountKey = decodeId(query.accountId);
  const endpointKey = keyOrNull(query.endpointId);
  if (query.watchId !== null) {
    // A watch has few deliveries, so no other condition uses an index.
    const conditions: readonly Condition[] = [
      [`${unindexedKey("d.account_id")} = ?`, accountKey],
      [`${unindexedKey("d.endpoint_id")} = ?`, endpointKey],
      ["d.event_position = any(array(select position from events where watch_id = ?))", decodeId(query.watchId)],
      [`${unindexed("d.status")} = ?`, query.status],
    ];
    return listByIds(db, deliverySelect, unindexedKey("d.id"), conditions, query, deliveryViewOf);
  }
  const statuses = query.status === null ? deliveryStatuses : [query.status];
  const owner = endpointKey === null ? { account_id: accountKey } : { endpoint_id: endpointKey };
  const ranges = statuses.map((status) => ({ table: "deliveries", columns: { ...owner, status } }) as const);
  const conditions: readonly Condition[] = [[`${unindexedKey("d.account_id")} = ?`, accountKey], amongNewest("d.id", ranges, query)];
  return listByIds(db, deliverySelect, "d.id", conditions, { ...query, cursor: null }, deliveryViewOf);
}

import { deliveryStatuses } from "../../../domain/deliveries/delivery.ts";
import { decodeId } from "../../../domain/ids.ts";
import type { DeliveryView, Page, ReadStore } from "../../../ports/stores/read-store.ts";
import { keyOrNull } from "../../sql/rows.ts";
import { listByIds } from "../../sql/reading/page.ts";
import type { Condition } from "../../sql/reading/page.ts";
import { deliveryViewOf } from "../../sql/view-rows.ts";
import { readMarks } from "../../sql/marks/mark-rows.ts";
import { listMarkedDeliveries } from "../../sql/marks/marked-lists.ts";
import { markedReading } from "./marked-reading.ts";
import type { Queries } from "../connection/queries.ts";
import { amongNewest, isStatus, unindexed, unindexedKey } from "./page.ts";
import type { FewRows, Range } from "./page.ts";
import { deliverySelect } from "./selects.ts";

export const reads = { listDeliveries };

type ListQuery = Parameters<ReadStore["listDeliveries"]>[0];

async function listDeliveries(db: Queries, query: ListQuery): Promise<Page<DeliveryView>> {
  const marks = await readMarks(db, decodeId(query.accountId));
  if (marks.length > 0) return listMarkedDeliveries(db, marks, query, markedReading);
  const accountKey = decodeId(query.accountId);
  const endpointKey = keyOrNull(query.endpointId);
  if (query.watchId !== null) {
    // A watch has few deliveries, so no other condition uses an index. The page is found before anything is joined to it.
    const conditions = [
      ["event_position = any(array(select position from events where watch_id = ?))", decodeId(query.watchId)],
      [`${unindexedKey("account_id")} = ?`, accountKey],
      [`${unindexedKey("endpoint_id")} = ?`, endpointKey],
      [`${unindexed("status")} = ?`, query.status],
    ] as const;
    const given = conditions.filter(([, value]) => value !== null);
    const few: Condition = [given.map(([sql]) => sql).join(" and "), ...given.map(([, value]) => value)];
    const newest = amongNewest("d.id", [{ table: "deliveries", few }], query);
    return listByIds(db, deliverySelect, "d.id", [newest], { ...query, cursor: null }, deliveryViewOf);
  }
  const statuses = query.status === null ? deliveryStatuses : [query.status];
  const ranges = endpointKey === null ? ofAccount(accountKey, statuses) : ofEndpoint(endpointKey, statuses);
  const conditions: readonly Condition[] = [[`${unindexedKey("d.account_id")} = ?`, accountKey], amongNewest("d.id", ranges, query)];
  return listByIds(db, deliverySelect, "d.id", conditions, { ...query, cursor: null }, deliveryViewOf);
}

/** The index of an account lacks what is pending and leased: those are read from the index of the leases. */
function ofAccount(accountKey: number, statuses: readonly string[]): readonly (Range | FewRows)[] {
  const indexed = "status <> 'pending' or lease_token is null";
  const ranges = statuses.map((status): Range => ({ table: "deliveries", columns: { account_id: accountKey, status }, indexed }));
  if (!statuses.includes("pending")) return ranges;
  const leased = `lease_owner >= 0 and lease_token is not null and ${unindexedKey("account_id")} = ? and ${isStatus("status", "pending")}`;
  return [...ranges, { table: "deliveries", few: [leased, accountKey] }];
}

function ofEndpoint(endpointKey: number, statuses: readonly string[]): readonly Range[] {
  return statuses.map((status) => ({ table: "deliveries", columns: { endpoint_id: endpointKey, status } }));
}

import { deliveryStatuses } from "../../../domain/deliveries/delivery.ts";
import { decodeId } from "../../../domain/ids.ts";
import type { DeliveryView, Page, ReadStore } from "../../../ports/stores/read-store.ts";
import { activityIn } from "../../sql/reading/account-activity.ts";
import { countIn } from "../../sql/reading/attempt-counts.ts";
import { amongNewest, listByIds } from "../../sql/reading/page.ts";
import type { Condition } from "../../sql/reading/page.ts";
import { deliveryViewOf } from "../../sql/view-rows.ts";
import { readMarks } from "../../sql/marks/mark-rows.ts";
import { listMarkedDeliveries } from "../../sql/marks/marked-lists.ts";
import { markedReading } from "./marked-reading.ts";
import type { Database } from "../connection/database.ts";
import { deliverySelect } from "./selects.ts";

export const reads = { countAttempts, listDeliveries, readActivity };

function countAttempts(db: Database, query: Parameters<ReadStore["countAttempts"]>[0]): ReturnType<ReadStore["countAttempts"]> {
  return countIn(db, ["endpoint_attempts"], query);
}

function readActivity(db: Database, query: Parameters<ReadStore["readActivity"]>[0]): ReturnType<ReadStore["readActivity"]> {
  return activityIn(db, ["account_activity"], query);
}

async function listDeliveries(db: Database, query: Parameters<ReadStore["listDeliveries"]>[0]): Promise<Page<DeliveryView>> {
  const marks = await readMarks(db, decodeId(query.accountId));
  if (marks.length > 0) return listMarkedDeliveries(db, marks, query, markedReading);
  const { status, cursor, limit } = query;
  const accountKey = decodeId(query.accountId);
  const endpointKey = query.endpointId === null ? null : decodeId(query.endpointId);
  if (query.watchId !== null) {
    // A watch has few deliveries, so the + keeps the planner off the other indexes.
    const conditions = [
      ["d.event_position in (select e.position from events e where e.watch_id = ?)", decodeId(query.watchId)],
      ["+d.account_id = ?", accountKey],
      ["+d.endpoint_id = ?", endpointKey],
      ["+d.status = ?", status],
    ] as const;
    return listByIds(db, deliverySelect, "+d.id", conditions, query, deliveryViewOf);
  }
  const owner: Condition =
    endpointKey === null
      ? ["d.account_id = ?", accountKey]
      : ["d.endpoint_id = (select id from endpoints where id = ? and account_id = ?)", endpointKey, accountKey];
  const conditions: readonly Condition[] =
    status === null
      ? [amongNewest("d.id", { table: "deliveries d", owner, statuses: deliveryStatuses }, cursor, limit + 1)]
      : [owner, ["d.status = ?", status]];
  return listByIds(db, deliverySelect, "d.id", conditions, query, deliveryViewOf);
}

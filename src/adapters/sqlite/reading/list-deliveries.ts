import type { DeliveryView, Page, ReadStore } from "../../../ports/stores/read-store.ts";
import type { Database } from "../connection/database.ts";
import { whereOf } from "./page.ts";
import { text } from "../../sql/rows.ts";
import { deliverySelect } from "./selects.ts";
import { deliveryViewOf } from "../../sql/view-rows.ts";
import { decodeIdCursor, pageOf } from "../../sql/cursor.ts";

export function listDeliveries(db: Database, query: Parameters<ReadStore["listDeliveries"]>[0]): Page<DeliveryView> {
  // A watch or an endpoint has fewer than its account: the + keeps the planner from walking through all of those.
  const broad = query.watchId === null && query.endpointId === null ? "" : "+";
  const { where, values } = whereOf([
    [`${broad}d.account_id = ?`, query.accountId],
    ["d.id < ?", query.cursor === null ? null : decodeIdCursor(query.cursor)],
    ["d.endpoint_id = ?", query.endpointId],
    ["d.watch_id = ?", query.watchId],
    [`${broad}d.status = ?`, query.status],
  ]);
  const rows = db.all(`${deliverySelect} where ${where} order by d.id desc limit ?`, ...values, query.limit + 1);
  return pageOf(rows, query, (row) => text(row, "id"), deliveryViewOf);
}

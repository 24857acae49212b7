import type { DeliveryView, Page, ReadStore } from "../../../ports/read-store.ts";
import type { Queries } from "../database.ts";
import { decodeIdCursor, pageOf, whereOf } from "../tables/page.ts";
import { text } from "../tables/rows.ts";
import { deliverySelect, deliveryViewOf } from "../tables/views.ts";

export async function listDeliveries(db: Queries, query: Parameters<ReadStore["listDeliveries"]>[0]): Promise<Page<DeliveryView>> {
  const { where, values, next } = whereOf([
    ["d.account_id = ?", query.accountId],
    ["d.id < ?", query.cursor === null ? null : decodeIdCursor(query.cursor)],
    ["d.endpoint_id = ?", query.endpointId],
    ["d.watch_id = ?", query.watchId],
    ["d.status = ?", query.status],
  ]);
  const rows = await db.all(`${deliverySelect} where ${where} order by d.id desc limit $${next}`, ...values, query.limit + 1);
  return pageOf(rows, query, (row) => text(row, "id"), deliveryViewOf);
}

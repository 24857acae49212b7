import type { DeliveryView, Page, ReadStore } from "../../../ports/read-store.ts";
import type { Database } from "../database.ts";
import { decodeIdCursor, pageOf } from "../tables/page.ts";
import { text } from "../tables/rows.ts";
import { deliverySelect, deliveryViewOf } from "../tables/views.ts";

export function listDeliveries(db: Database, query: Parameters<ReadStore["listDeliveries"]>[0]): Page<DeliveryView> {
  const rows = db.all(
    `${deliverySelect} where d.account_id = ?1 and (?2 is null or d.id < ?2) and (?3 is null or d.endpoint_id = ?3)
       and (?4 is null or d.watch_id = ?4) and (?5 is null or d.status = ?5)
     order by d.id desc limit ?6`,
    query.accountId,
    query.cursor === null ? null : decodeIdCursor(query.cursor),
    query.endpointId,
    query.watchId,
    query.status,
    query.limit + 1,
  );
  return pageOf(rows, query, (row) => text(row, "id"), deliveryViewOf);
}

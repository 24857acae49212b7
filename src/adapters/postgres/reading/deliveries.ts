import type { Attempt } from "../../../domain/deliveries/attempt.ts";
import type { DeliveryView, Page, ReadStore } from "../../../ports/stores/read-store.ts";
import { attemptOf, text } from "../../sql/rows.ts";
import { deliveryViewOf } from "../../sql/view-rows.ts";
import { decodeIdCursor, pageOf } from "../../sql/cursor.ts";
import type { Queries } from "../connection/queries.ts";
import { readDeliveryView, deliverySelect } from "./selects.ts";
import { unindexed, whereOf } from "./page.ts";

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

const plain = (column: string) => column;

async function listDeliveries(db: Queries, query: Parameters<ReadStore["listDeliveries"]>[0]): Promise<Page<DeliveryView>> {
  // A watch has few deliveries and an endpoint has fewer than its account, so the narrowest condition alone uses an index.
  const [ofAccount, ofEndpoint] = [
    query.endpointId === null && query.watchId === null ? plain : unindexed,
    query.watchId === null ? plain : unindexed,
  ];
  const { where, values, next } = whereOf([
    [`${ofAccount("d.account_id")} = ?`, query.accountId],
    [`${ofEndpoint("d.id")} < ?`, query.cursor === null ? null : decodeIdCursor(query.cursor)],
    [`${ofEndpoint("d.endpoint_id")} = ?`, query.endpointId],
    ["d.watch_id = ?", query.watchId],
    [`${ofAccount("d.status")} = ?`, query.status],
  ]);
  const rows = await db.all(
    `${deliverySelect} where ${where} order by ${ofEndpoint("d.id")} desc limit $${next}`,
    ...values,
    query.limit + 1,
  );
  return pageOf(rows, query, (row) => text(row, "id"), deliveryViewOf);
}

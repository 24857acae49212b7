import type { DeliveryView, Page, ReadStore } from "../../../ports/stores/read-store.ts";
import { decodeIdCursor, pageOf } from "../../sql/cursor.ts";
import { attemptOf, text } from "../../sql/rows.ts";
import { deliveryViewOf } from "../../sql/view-rows.ts";
import type { Database } from "../connection/database.ts";
import { whereOf } from "./page.ts";
import { deliverySelect } from "./selects.ts";

export const reads = { getDelivery, listDeliveries };

function getDelivery(db: Database, accountId: string, deliveryId: string): Awaited<ReturnType<ReadStore["getDelivery"]>> {
  const view = readDeliveryView(db, accountId, deliveryId);
  if (view === null) return null;
  return { view, attempts: db.all("select * from attempts where delivery_id = ? order by number", deliveryId).map(attemptOf) };
}

function listDeliveries(db: Database, query: Parameters<ReadStore["listDeliveries"]>[0]): Page<DeliveryView> {
  // A watch or an endpoint has fewer deliveries than its account, so the + keeps the planner off the account's index.
  const offIndex = query.watchId === null && query.endpointId === null ? "" : "+";
  const { where, values } = whereOf([
    [`${offIndex}d.account_id = ?`, query.accountId],
    ["d.id < ?", query.cursor === null ? null : decodeIdCursor(query.cursor)],
    ["d.endpoint_id = ?", query.endpointId],
    ["d.watch_id = ?", query.watchId],
    [`${offIndex}d.status = ?`, query.status],
  ]);
  const rows = db.all(`${deliverySelect} where ${where} order by d.id desc limit ?`, ...values, query.limit + 1);
  return pageOf(rows, query, (row) => text(row, "id"), deliveryViewOf);
}

export function readDeliveryView(db: Database, accountId: string, deliveryId: string): DeliveryView | null {
  const row = db.get(`${deliverySelect} where d.id = ? and d.account_id = ?`, deliveryId, accountId);
  return row === undefined ? null : deliveryViewOf(row);
}

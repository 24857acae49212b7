import { deliveryStatuses } from "../../../domain/deliveries/delivery.ts";
import { watchStatuses } from "../../../domain/calls/watch.ts";
import type { StoreStats } from "../../../ports/stores/service-store.ts";
import type { Queries, Row } from "../connection/database.ts";
import { readCounts } from "./counts.ts";
import { integer, integerOrNull } from "../../sql/rows.ts";

/** Everything here is kept as it changes: a scrape reads a few rows. */
export async function readStats(db: Queries): Promise<StoreStats> {
  const [counts, rest] = await Promise.all([
    readCounts(db, null),
    db.get(
      `select (select min(due_at) from (select min(next_due_at) as due_at from hosts union all select min(failing_due_at) from hosts) due) as oldest_due,
         pg_database_size(current_database()) as bytes`,
    ),
  ]);
  const figures = rest as Row;
  const of = (prefix: string, statuses: readonly string[]) =>
    Object.fromEntries(statuses.map((status) => [status, counts.get(`${prefix} ${status}`) ?? 0]));
  return {
    watchesByStatus: of("watches", watchStatuses),
    deliveriesByStatus: of("deliveries", deliveryStatuses),
    oldestDueDeliveryAtMs: integerOrNull(figures, "oldest_due"),
    storeBytes: integer(figures, "bytes"),
  };
}

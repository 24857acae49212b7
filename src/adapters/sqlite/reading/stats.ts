import type { StoreStats } from "../../../ports/stores/service-store.ts";
import { integer, integerOrNull, text } from "../../sql/rows.ts";
import { settle, settlingOf, settlingSelect } from "../../sql/marks/mark-rows.ts";
import { endpointsByState, notEnabledEndpoints } from "../../sql/reading/endpoint-states.ts";
import type { Database } from "../connection/database.ts";

export const reads = { readStats };

/** Reads only what every write keeps up to date, so that a scrape reads a few rows. `storeBytes` is 0 until the main thread sets it. */
function readStats(db: Database): StoreStats {
  const watches = db.get(
    `select total(active) as active, total(completed) as completed, total(ended) as ended, total(canceled) as canceled from account_usage`,
  );
  const deliveries = db.all("select status, n from delivery_counts");
  const oldest = db.get(
    `select min(due_at) as due from (
       select min(next_due_at) as due_at from hosts union all select min(failing_due_at) from hosts)`,
  );
  const endpoints = db.get("select total(endpoints) as n from account_usage");
  const notEnabled = db.all(notEnabledEndpoints);
  const settling = settlingOf(db.get(settlingSelect));
  return {
    watchesByStatus: settle({ ...(watches as Record<string, number>) }, "active", settling.watches),
    deliveriesByStatus: settle(
      Object.fromEntries(deliveries.map((row) => [text(row, "status"), integer(row, "n")])),
      "pending",
      settling.deliveries,
    ),
    endpointsByState: endpointsByState(integer(endpoints ?? {}, "n"), notEnabled),
    oldestDueDeliveryAtMs: oldest === undefined ? null : integerOrNull(oldest, "due"),
    storeBytes: 0,
  };
}

import type { StoreFigures } from "../../../ports/service-store.ts";
import type { Database } from "../database.ts";
import { integer, integerOrNull, text } from "../tables/rows.ts";

export function readFigures(db: Database): StoreFigures {
  const count = (table: "watches" | "deliveries") =>
    Object.fromEntries(
      db.all(`select status, count(*) as n from ${table} group by status`).map((row) => [text(row, "status"), integer(row, "n")]),
    );
  const oldest = db.get("select min(next_due_at) as due from endpoints where state = 'enabled' and next_due_at is not null");
  return {
    watchesByStatus: count("watches"),
    deliveriesByStatus: count("deliveries"),
    oldestDueDeliveryAtMs: oldest === undefined ? null : integerOrNull(oldest, "due"),
    storeBytes: 0,
  };
}

import type { StoreFigures } from "../../../ports/service-store.ts";
import type { Database } from "../database.ts";
import { integer, integerOrNull, text } from "../tables/rows.ts";

export function readFigures(db: Database): StoreFigures {
  const count = (kind: "watch" | "delivery") =>
    Object.fromEntries(
      db.all("select status, n from row_counts where kind = ?", kind).map((row) => [text(row, "status"), integer(row, "n")]),
    );
  const oldest = db.get(
    `select min(due_at) as due from (
       select min(next_due_at) as due_at from hosts union all select min(failing_due_at) from hosts)`,
  );
  return {
    watchesByStatus: count("watch"),
    deliveriesByStatus: count("delivery"),
    oldestDueDeliveryAtMs: oldest === undefined ? null : integerOrNull(oldest, "due"),
    storeBytes: 0,
  };
}

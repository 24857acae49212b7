import { deliveryStatuses } from "../../../domain/deliveries/delivery.ts";
import { watchStatuses } from "../../../domain/calls/watch.ts";
import type { StoreStats } from "../../../ports/stores/service-store.ts";
import { settle, settlingOf, settlingSelect } from "../../sql/marks/mark-rows.ts";
import { endpointsByState, notEnabledEndpoints } from "../../sql/reading/endpoint-states.ts";
import { integer, integerOrNull, text } from "../../sql/rows.ts";
import type { Queries } from "../connection/queries.ts";

export const reads = { readStats };

/** Reads the gauges. All of them are kept up to date by writes, so that a scrape reads a few rows. */
async function readStats(db: Queries): Promise<StoreStats> {
  const [counts, notEnabled, settling, gauges] = await Promise.all([
    readCounts(db, null),
    db.all(notEnabledEndpoints),
    db.get(settlingSelect),
    db.get(
      `select (select min(due_at) from (select min(next_due_at) as due_at from hosts union all select min(failing_due_at) from hosts) due) as oldest_due,
         pg_database_size(current_database()) as bytes`,
    ),
  ]);
  if (gauges === undefined) throw new Error("a select without a table returned no row");
  const of = (prefix: string, statuses: readonly string[]) =>
    Object.fromEntries(statuses.map((status) => [status, counts.get(`${prefix} ${status}`) ?? 0]));
  return {
    watchesByStatus: settle(of("watches", watchStatuses), "active", settlingOf(settling).watches),
    deliveriesByStatus: settle(of("deliveries", deliveryStatuses), "pending", settlingOf(settling).deliveries),
    endpointsByState: endpointsByState(counts.get("endpoints") ?? 0, notEnabled),
    oldestDueDeliveryAtMs: integerOrNull(gauges, "oldest_due"),
    storeBytes: integer(gauges, "bytes"),
  };
}

/** Reads counts, of one account or the sums over all. A count is the folded value plus the changes that triggers have added since. */
export async function readCounts(db: Queries, accountKey: number | null): Promise<ReadonlyMap<string, number>> {
  const where = accountKey === null ? "where what <> 'unleased'" : "where owner_id = $1";
  const rows = await db.all(
    `select what, sum(n) as n from (select what, n from counts ${where} union all select what, n from count_changes ${where}) c group by what`,
    ...(accountKey === null ? [] : [accountKey]),
  );
  return new Map(rows.map((row) => [text(row, "what"), integer(row, "n")]));
}

/** Maximum number of changes folded by one statement, and of statements in one call. */
const foldLimit = 20_000;
const maxFolds = 10;

/** Folds changes into the counts. Concurrent calls fold different changes. Endpoints without a backlog keep no row. */
export async function foldCounts(db: Queries): Promise<void> {
  for (let folds = 0; folds < maxFolds; folds++) {
    const folded = await db.get(
      `with taken as (
         delete from count_changes where id in (select id from count_changes order by id limit $1 for update skip locked) returning owner_id, what, n),
       summed as (
         insert into counts (owner_id, what, n) select owner_id, what, sum(n) from taken group by owner_id, what order by owner_id, what
         on conflict (owner_id, what) do update set n = counts.n + excluded.n returning owner_id, what, n)
       select (select count(*) from taken) as n, array(select owner_id from summed where what = 'unleased' and n = 0) as empty`,
      foldLimit,
    );
    const empty = folded?.["empty"] as readonly number[];
    if (empty.length > 0) await db.run("delete from counts where owner_id = any($1) and what = 'unleased' and n = 0", empty);
    if (folded?.["n"] !== foldLimit) return;
  }
}

import { ratesSince } from "../../../domain/deliveries/success-rate.ts";
import { decodeId } from "../../../domain/ids.ts";
import type { ReadStore } from "../../../ports/stores/read-store.ts";
import type { SqlQueries } from "../queries.ts";
import { id, integer } from "../rows.ts";

/** Number of endpoints that one statement names. A page has at most as many. */
const endpointsAtOnce = 200;

/**
 * Sums up the attempts of endpoints. Each of `tables` has counts, whose sum is the truth. A count of a longer span is older
 * than an hour, so its beginning alone says where it belongs.
 */
export async function countIn(
  db: SqlQueries,
  tables: readonly string[],
  { accountId, endpointIds, nowMs }: Parameters<ReadStore["countAttempts"]>[0],
): ReturnType<ReadStore["countAttempts"]> {
  const since = ratesSince(nowMs);
  const counted = [];
  for (let from = 0; from < endpointIds.length; from += endpointsAtOnce) {
    const keys = endpointIds.slice(from, from + endpointsAtOnce).map(decodeId);
    const places = keys.map((_, index) => `?${index + 4}`).join(", ");
    const ofEach = tables.map(
      (table) => `select endpoint_id, at, succeeded, failed from ${table} where endpoint_id in (${places}) and at >= ?2`,
    );
    const rows = await db.all(
      `select c.endpoint_id, sum(case when c.at >= ?3 then c.succeeded else 0 end) as hour_succeeded,
         sum(case when c.at >= ?3 then c.failed else 0 end) as hour_failed, sum(c.succeeded) as day_succeeded, sum(c.failed) as day_failed
       from (${ofEach.join(" union all ")}) c
       where (select p.account_id from endpoints p where p.id = c.endpoint_id) = ?1 group by c.endpoint_id`,
      decodeId(accountId),
      since.dayMs,
      since.hourMs,
      ...keys,
    );
    counted.push(
      ...rows.map((row) => ({
        endpointId: id(row, "ep", "endpoint_id"),
        hour: { succeeded: integer(row, "hour_succeeded"), failed: integer(row, "hour_failed") },
        day: { succeeded: integer(row, "day_succeeded"), failed: integer(row, "day_failed") },
      })),
    );
  }
  return counted;
}

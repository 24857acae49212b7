import type { ActivityCount } from "../../../domain/activity.ts";
import { decodeId } from "../../../domain/ids.ts";
import type { ReadStore } from "../../../ports/stores/read-store.ts";
import type { SqlQueries } from "../queries.ts";
import { integer } from "../rows.ts";

/**
 * Sums up what happened in an account by steps. Each of `tables` has counts, whose sum is the truth. The range has a bounded
 * number of rows, because old counts are those of hours and days.
 */
export async function activityIn(
  db: SqlQueries,
  tables: readonly string[],
  { accountId, sinceMs, stepMs }: Parameters<ReadStore["readActivity"]>[0],
): Promise<readonly ActivityCount[]> {
  const ofEach = tables.map((table) => `select at, kind, n from ${table} where account_id = ?1 and at >= ?2`);
  const rows = await db.all(
    `select c.at - c.at % ?3 as start, c.kind, sum(c.n) as n from (${ofEach.join(" union all ")}) c group by 1, 2 order by 1, 2`,
    decodeId(accountId),
    sinceMs,
    stepMs,
  );
  return rows.map((row) => ({ atMs: integer(row, "start"), kind: integer(row, "kind"), n: integer(row, "n") }));
}

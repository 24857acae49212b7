import type { Page, PageRequest } from "../../../ports/stores/read-store.ts";
import { decodeNumberCursor, pageOf } from "../cursor.ts";
import type { SqlQueries, SqlValue } from "../queries.ts";
import { integer } from "../rows.ts";
import type { Row } from "../rows.ts";

/** A condition of a list, with the values of its `?`. A condition with a `null` value is left out of the statement, so that the plan uses an index for the others. */
export type Condition = readonly [sql: string, ...values: readonly (SqlValue | null)[]];

/** Builds the `where` clause and its values from conditions; `next` is the number of the next parameter. */
export function whereOf(conditions: readonly Condition[]): {
  readonly where: string;
  readonly values: readonly SqlValue[];
  readonly next: number;
} {
  const values: SqlValue[] = [];
  const clauses: string[] = [];
  for (const [sql, ...given] of conditions) {
    if (given.includes(null)) continue;
    let index = values.length;
    clauses.push(sql.replaceAll("?", () => `?${++index}`));
    values.push(...given);
  }
  return { where: clauses.join(" and "), values, next: values.length + 1 };
}

/** Reads one page of the rows of `select` that meet the conditions, by descending `idColumn`. A row has this column as `id`. */
export async function listByIds<View>(
  db: SqlQueries,
  select: string,
  idColumn: string,
  conditions: readonly Condition[],
  request: PageRequest,
  toView: (row: Row) => View,
): Promise<Page<View>> {
  const lastId = request.cursor === null ? null : decodeNumberCursor(request.cursor);
  const { where, values, next } = whereOf([...conditions, [`${idColumn} < ?`, lastId]]);
  const rows = await db.all(`${select} where ${where} order by ${idColumn} desc limit ?${next}`, ...values, request.limit + 1);
  return pageOf(rows, request, (row) => integer(row, "id"), toView);
}

/** The rows of one owner in a table. An index begins with the owner's column and the status, and ends with the id. */
export type StatusRanges = {
  /** Table with its alias. */
  readonly table: "watches w" | "deliveries d";
  /** Condition that selects the owner. */
  readonly owner: Condition;
  readonly statuses: readonly string[];
};

/**
 * Returns the condition that `idColumn` is among the newest `count` ids before `cursor` of each status. No index holds the
 * ids of all statuses in order, so one range for each status is read.
 */
export function amongNewest(idColumn: string, { table, owner, statuses }: StatusRanges, cursor: string | null, count: number): Condition {
  const lastId = cursor === null ? Number.MAX_SAFE_INTEGER : decodeNumberCursor(cursor);
  const alias = table.slice(-1);
  const [ownerSql, ...ownerValues] = owner;
  const ranges = statuses.map(
    (status) =>
      `select id from (select ${alias}.id from ${table} where ${ownerSql} and ${alias}.status = '${status}' and ${alias}.id < ?
         order by ${alias}.id desc limit ?) newest_${status}`,
  );
  return [`${idColumn} in (${ranges.join(" union all ")})`, ...statuses.flatMap(() => [...ownerValues, lastId, count])];
}

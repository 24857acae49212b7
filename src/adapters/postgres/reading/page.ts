import type { Page, PageRequest } from "../../../ports/stores/read-store.ts";
import { decodeIdCursor, pageOf } from "../../sql/cursor.ts";
import { text } from "../../sql/rows.ts";
import type { Row } from "../../sql/rows.ts";
import type { Queries, Value } from "../connection/queries.ts";

/** A condition of a list, with the values of its `?`. A condition with a `null` value is left out of the statement, so that the plan uses an index for the others. */
export type Condition = readonly [sql: string, ...values: readonly (Value | null)[]];

/** Builds the `where` clause and its values from conditions; `next` is the number of the next parameter. */
export function whereOf(conditions: readonly Condition[]): { readonly where: string; readonly values: Value[]; readonly next: number } {
  const values: Value[] = [];
  const clauses: string[] = [];
  for (const [sql, ...given] of conditions) {
    if (given.includes(null)) continue;
    let index = values.length;
    clauses.push(sql.replaceAll("?", () => `$${++index}`));
    values.push(...given);
  }
  return { where: clauses.join(" and "), values, next: values.length + 1 };
}

/** Reads one page of the rows of `select` that meet the conditions, by descending `idColumn`, which the row has as `id`. */
export async function listByIds<View>(
  db: Queries,
  select: string,
  idColumn: string,
  conditions: readonly Condition[],
  request: PageRequest,
  toView: (row: Row) => View,
): Promise<Page<View>> {
  const lastId = request.cursor === null ? null : decodeIdCursor(request.cursor);
  const { where, values, next } = whereOf([...conditions, [`${idColumn} < ?`, lastId]]);
  const rows = await db.all(`${select} where ${where} order by ${idColumn} desc limit $${next}`, ...values, request.limit + 1);
  return pageOf(rows, request, (row) => text(row, "id"), toView);
}

/**
 * Writes a column so that no index on it is used, because most rows meet its condition while few meet another one. (A watch
 * has few deliveries, but a million deliveries may be pending.)
 */
export function unindexed(column: string): string {
  return `(${column} || '')`;
}

/** Compares a status without the use of an index. */
export function isStatus(column: string, status: string): string {
  return `${unindexed(column)} = '${status}'`;
}

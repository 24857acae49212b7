import type { Value } from "../connection/queries.ts";

/** A condition of a list with the values its `?` stand for; left out of the statement where nothing was asked, so that indexes serve what was. */
export type Condition = readonly [sql: string, ...values: readonly (Value | null)[]];

/** The conditions that are set, as `where` clause and values; the next value of the statement is `$n`. */
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

/**
 * A column said so that no index on it is used: for a condition that most rows meet beside one that few do. (A watch has
 * few deliveries, everybody together may have a million pending.)
 */
export function unindexed(column: string): string {
  return `(${column} || '')`;
}

export function isStatus(column: string, status: string): string {
  return `${unindexed(column)} = '${status}'`;
}

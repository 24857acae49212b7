import type { Value } from "../connection/database.ts";

/** Condition of a list with its value. A condition whose value is `null` is left out of the statement, so that indexes serve the others. */
export type Condition = readonly [sql: string, value: Value | null];

/** Joins the conditions that have a value into a `where` clause and its values. */
export function whereOf(conditions: readonly Condition[]): { readonly where: string; readonly values: readonly Value[] } {
  const set = conditions.filter((condition): condition is readonly [string, Value] => condition[1] !== null);
  return { where: set.map(([sql]) => sql).join(" and "), values: set.map(([, value]) => value) };
}

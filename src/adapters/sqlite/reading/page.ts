import type { Value } from "../connection/database.ts";

/** A condition of a list with its value; left out of the statement where nothing was asked, so that indexes serve what was. */
export type Condition = readonly [sql: string, value: Value | null];

/** The conditions that are set, as `where` clause and values. */
export function whereOf(conditions: readonly Condition[]): { readonly where: string; readonly values: readonly Value[] } {
  const set = conditions.filter((condition): condition is readonly [string, Value] => condition[1] !== null);
  return { where: set.map(([sql]) => sql).join(" and "), values: set.map(([, value]) => value) };
}

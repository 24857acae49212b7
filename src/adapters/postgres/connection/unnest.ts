import type { Column } from "../../sql/delivery-columns.ts";
import { namesOf } from "../../sql/delivery-columns.ts";
import type { Value } from "./queries.ts";

/** Returns `unnest($n::type[], …)` with one array for each column and parameters from `$first` on. */
export function unnest(columns: readonly Pick<Column<never>, "type">[], first = 1): string {
  return `unnest(${columns.map(({ type }, index) => `$${first + index}::${type}[]`).join(", ")})`;
}

/** Returns `unnest` as a table: `unnest(…) as u(id, status)`. */
export function unnestAs(alias: string, columns: readonly Pick<Column<never>, "name" | "type">[], first = 1): string {
  return `${unnest(columns, first)} as ${alias}(${namesOf(columns)})`;
}

/** Returns the arrays for `unnest`, in the order of the columns. */
export function arraysOf<Source>(columns: readonly Column<Source>[], sources: readonly Source[]): readonly Value[] {
  return columns.map((column) => sources.map((source) => column.valueOf(source)));
}

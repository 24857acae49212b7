import type { PageRequest } from "../../../ports/stores/read-store.ts";
import { decodeNumberCursor } from "../../sql/cursor.ts";
import type { Condition } from "../../sql/reading/page.ts";

/**
 * Writes a column so that no index on it is used. Most rows meet the condition on this column, while few meet another
 * condition. (A watch has few deliveries, but a million deliveries may be pending.)
 */
export function unindexed(column: string): string {
  return `(${column} || '')`;
}

/** The same for a column of integers. */
export function unindexedKey(column: string): string {
  return `(${column} + 0)`;
}

/** Compares a status without the use of an index. */
export function isStatus(column: string, status: string): string {
  return `${unindexed(column)} = '${status}'`;
}

/** Rows of a table whose columns have these values. An index begins with the columns, in this order, and ends with the id. */
type Range = {
  readonly table: "deliveries" | "endpoints" | "hooks" | "watches";
  readonly columns: Readonly<Record<string, string | number>>;
};

/**
 * Returns the condition that `idColumn` is among the newest ids of the page, merged from ranges of indexes. The bounds and
 * the order name all columns of the index, because the planner would rather read all ids of the table in order if it expects
 * many to match, although those of one owner may all be old.
 */
export function amongNewest(idColumn: string, ranges: readonly Range[], { cursor, limit }: PageRequest): Condition {
  const lastId = cursor === null ? Number.MAX_SAFE_INTEGER : decodeNumberCursor(cursor);
  const selects = ranges.map(({ table, columns }) => {
    const names = Object.keys(columns);
    const places = names.map(() => "?").join(", ");
    return `(select id from ${table} where (${[...names, "id"].join(", ")}) < (${places}, ?) and (${names.join(", ")}) >= (${places})
      order by ${[...names, "id"].map((name) => `${name} desc`).join(", ")} limit ?)`;
  });
  const values = ranges.flatMap(({ columns }) => [...Object.values(columns), lastId, ...Object.values(columns), limit + 1]);
  return [
    `${idColumn} = any(array(select id from (${selects.join(" union all ")}) newest order by id desc limit ?))`,
    ...values,
    limit + 1,
  ];
}

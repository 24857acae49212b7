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
export type Range = {
  readonly table: "deliveries" | "endpoints" | "hooks" | "watches";
  readonly columns: Readonly<Record<string, string | number>>;
  /** Condition of the index, if it holds a part of the table. */
  readonly indexed?: string;
};

/** Rows that meet a condition and are so few that all are read and sorted. */
export type FewRows = { readonly table: Range["table"]; readonly few: Condition };

/**
 * Returns the condition that `idColumn` is among the newest ids of the page, merged from parts. The bounds and the order of
 * a range name all columns of its index, because the planner would rather read all ids of the table in order if it expects
 * many to match, although those of one owner may all be old.
 */
export function amongNewest(idColumn: string, parts: readonly (Range | FewRows)[], { cursor, limit }: PageRequest): Condition {
  const lastId = cursor === null ? Number.MAX_SAFE_INTEGER : decodeNumberCursor(cursor);
  const selects = parts.map((part) => ("few" in part ? selectFew(part) : selectRange(part)));
  const values = parts.flatMap((part) => {
    if ("few" in part) return [...part.few.slice(1), lastId, limit + 1];
    const given = Object.values(part.columns);
    return [...given, lastId, ...given, limit + 1];
  });
  return [
    `${idColumn} = any(array(select id from (${selects.join(" union all ")}) newest order by id desc limit ?))`,
    ...values,
    limit + 1,
  ];
}

function selectRange({ table, columns, indexed = "true" }: Range): string {
  const names = Object.keys(columns);
  const places = names.map(() => "?").join(", ");
  const order = [...names, "id"].map((name) => `${name} desc`).join(", ");
  return `(select id from ${table} where (${[...names, "id"].join(", ")}) < (${places}, ?) and (${names.join(", ")}) >= (${places}) and (${indexed})
    order by ${order} limit ?)`;
}

function selectFew({ table, few: [condition] }: FewRows): string {
  const id = unindexedKey("id");
  return `(select id from ${table} where ${condition} and ${id} < ? order by ${id} desc limit ?)`;
}

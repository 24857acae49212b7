import type { KeyRange, MarkedReading } from "../../sql/marks/marked-lists.ts";
import type { SqlQueries } from "../../sql/queries.ts";
import { integer } from "../../sql/rows.ts";
import { deliverySelect, watchSelect } from "./selects.ts";

/** Reads that lists need while marks run. */
export const markedReading: MarkedReading = { deliverySelect, watchSelect, readRange, readLeased: async () => [] };

async function readRange(db: SqlQueries, { table, columns, after, before, limit }: KeyRange): Promise<readonly number[]> {
  const names = Object.keys(columns);
  const conditions = names.map((name, index) => `${name} = ?${index + 1}`).join(" and ");
  const next = names.length + 1;
  const rows = await db.all(
    `select id from ${table} where ${conditions} and id > ?${next} and id < ?${next + 1} order by id desc limit ?${next + 2}`,
    ...Object.values(columns),
    after,
    before,
    limit,
  );
  return rows.map((row) => integer(row, "id"));
}

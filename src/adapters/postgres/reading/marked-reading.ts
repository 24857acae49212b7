import type { KeyRange, MarkedReading } from "../../sql/marks/marked-lists.ts";
import type { SqlQueries } from "../../sql/queries.ts";
import { integer } from "../../sql/rows.ts";
import { isStatus, unindexedKey } from "./page.ts";
import { deliverySelect, watchSelect } from "./selects.ts";

/** Reads that lists need while marks run. */
export const markedReading: MarkedReading = { deliverySelect, watchSelect, readRange, readLeased };

/** The bounds and the order name all columns of the index, as those of `amongNewest` do. */
async function readRange(db: SqlQueries, { table, columns, after, before, limit }: KeyRange): Promise<readonly number[]> {
  const names = [...Object.keys(columns), "id"];
  const values = Object.values(columns);
  const places = values.map((_, index) => `?${index + 1}`).join(", ");
  const next = values.length + 1;
  // The index of an account lacks what is pending and leased.
  const indexed = table === "deliveries" && "account_id" in columns ? "and (status <> 'pending' or lease_token is null)" : "";
  const rows = await db.all(
    `select id from ${table} where (${names.join(", ")}) < (${places}, ?${next}) and (${names.join(", ")}) > (${places}, ?${next + 1}) ${indexed}
     order by ${names.map((name) => `${name} desc`).join(", ")} limit ?${next + 2}`,
    ...values,
    before,
    after,
    limit,
  );
  return rows.map((row) => integer(row, "id"));
}

async function readLeased(db: SqlQueries, accountKey: number): Promise<readonly number[]> {
  const rows = await db.all(
    `select id from deliveries where lease_owner >= 0 and lease_token is not null and ${unindexedKey("account_id")} = ?1 and ${isStatus("status", "pending")}`,
    accountKey,
  );
  return rows.map((row) => integer(row, "id"));
}

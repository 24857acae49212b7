import type { Queries } from "../connection/queries.ts";
import { text } from "../../sql/rows.ts";
import { keyIdOf, sealedColumns } from "../../sql/sealed-columns.ts";

/** From one key's id to the next in the index of each column. */
export async function readKeyIds(db: Queries): Promise<readonly string[]> {
  const parts = Object.values(sealedColumns).map(({ table, column }) => {
    const keyId = keyIdOf(column);
    const next = (condition: string) => `(select ${keyId} from ${table} where ${column} is not null${condition} order by ${keyId} limit 1)`;
    return `(with recursive used (key_id) as (
       ${next("")} union all select ${next(` and ${keyId} > used.key_id`)} from used where used.key_id is not null)
     select encode(key_id, 'hex') as key_id from used where key_id is not null)`;
  });
  return (await db.all(parts.join(" union "))).map((row) => text(row, "key_id"));
}

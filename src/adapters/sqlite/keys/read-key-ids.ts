import type { Database } from "../connection/database.ts";
import { keyIdOf, sealedColumns } from "../../sql/sealed-columns.ts";
import { text } from "../../sql/rows.ts";

/** From one key's id to the next in the index: 1 ms with 200,000 secrets sealed by three keys, where a walk takes 40. */
export function readKeyIds(db: Database): readonly string[] {
  const ids = Object.values(sealedColumns).flatMap(({ table, column }) => {
    const keyId = keyIdOf(column);
    return db.all(
      `with recursive used (key_id) as (
         select min(${keyId}) from ${table} where ${column} is not null
         union all
         select (select min(${keyId}) from ${table} where ${column} is not null and ${keyId} > used.key_id) from used where used.key_id is not null)
       select lower(hex(key_id)) as key_id from used where key_id is not null`,
    );
  });
  return [...new Set(ids.map((row) => text(row, "key_id")))];
}

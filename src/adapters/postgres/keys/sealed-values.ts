import type { SealedStore, SealedValue, ResealedValue, HashKeyName } from "../../../ports/stores/sealed-store.ts";
import { blob, text } from "../../sql/rows.ts";
import { keyIdOf, sealedColumns } from "../../sql/sealed-columns.ts";
import type { Queries } from "../connection/queries.ts";
import type { Transaction } from "../connection/transaction.ts";

export const reads = { listSealed, readKeyIds };
export const writes = { ensureHashKey, replaceSealed };

async function listSealed(db: Queries, page: Parameters<SealedStore["listSealed"]>[0]): Promise<readonly SealedValue[]> {
  const { table, id, column } = sealedColumns[page.place];
  const rows = await db.all(
    `select ${id} as id, ${column} as sealed from ${table}
     where ${column} is not null and ${keyIdOf(column)} = $1 and ${id} > $2 order by ${id} limit $3`,
    Buffer.from(page.keyId, "hex"),
    page.afterId ?? "",
    page.limit,
  );
  return rows.map((row) => ({ place: page.place, id: text(row, "id"), sealed: blob(row, "sealed") }));
}

/** Replaces sealed values and returns their number. A value that changed since it was read stays. */
async function replaceSealed(tx: Transaction, values: readonly ResealedValue[]): Promise<number> {
  const counts = await Promise.all(values.map((value) => replace(tx, value)));
  return counts.reduce((sum, count) => sum + count, 0);
}

async function replace(tx: Transaction, { place, id, sealed, resealed, fingerprint }: ResealedValue): Promise<number> {
  const { table, id: idColumn, column, fingerprint: hash } = sealedColumns[place];
  const where = `where ${idColumn} = $1 and ${column} = $2`;
  if (hash === null) return tx.run(`update ${table} set ${column} = $3 ${where}`, id, sealed, resealed);
  return tx.run(`update ${table} set ${column} = $3, ${hash} = $4 ${where}`, id, sealed, resealed, fingerprint);
}

/** Reads the ids of the keys in use, stepping through the index of each column from key to key. */
async function readKeyIds(db: Queries): Promise<readonly string[]> {
  const parts = Object.values(sealedColumns).map(({ table, column }) => {
    const keyId = keyIdOf(column);
    const next = (condition: string) => `(select ${keyId} from ${table} where ${column} is not null${condition} order by ${keyId} limit 1)`;
    return `(with recursive used (key_id) as (
       ${next("")} union all select ${next(` and ${keyId} > used.key_id`)} from used where used.key_id is not null)
     select encode(key_id, 'hex') as key_id from used where key_id is not null)`;
  });
  return (await db.all(parts.join(" union "))).map((row) => text(row, "key_id"));
}

async function ensureHashKey(tx: Transaction, name: HashKeyName, sealed: Uint8Array): Promise<Uint8Array> {
  await tx.run("insert into hash_keys (name, sealed) values ($1, $2) on conflict (name) do nothing", name, sealed);
  const row = await tx.get("select sealed from hash_keys where name = $1", name);
  if (row === undefined) throw new Error(`hash key ${name} does not exist`);
  return blob(row, "sealed");
}

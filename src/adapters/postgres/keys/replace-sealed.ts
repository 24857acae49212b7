import type { ResealedValue } from "../../../ports/stores/sealed-store.ts";
import type { Transaction } from "../connection/transaction.ts";
import { sealedColumns } from "../../sql/sealed-columns.ts";

/** What was changed since it was read is left alone: it has a newer value than the one at hand. */
export async function replaceSealed(tx: Transaction, values: readonly ResealedValue[]): Promise<number> {
  const counts = await Promise.all(values.map((value) => replace(tx, value)));
  return counts.reduce((sum, count) => sum + count, 0);
}

async function replace(tx: Transaction, { place, id, sealed, resealed, fingerprint }: ResealedValue): Promise<number> {
  const { table, id: idColumn, column, fingerprint: hash } = sealedColumns[place];
  const where = `where ${idColumn} = $1 and ${column} = $2`;
  if (hash === null) return tx.run(`update ${table} set ${column} = $3 ${where}`, id, sealed, resealed);
  return tx.run(`update ${table} set ${column} = $3, ${hash} = $4 ${where}`, id, sealed, resealed, fingerprint);
}

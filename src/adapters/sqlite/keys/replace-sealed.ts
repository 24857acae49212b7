import type { ResealedValue } from "../../../ports/stores/sealed-store.ts";
import type { Database } from "../connection/database.ts";
import { sealedColumns } from "../../sql/sealed-columns.ts";

/** What was changed since it was read is left alone: it has a newer value than the one at hand. */
export function replaceSealed(db: Database, values: readonly ResealedValue[]): number {
  return values.reduce((count, value) => count + replace(db, value), 0);
}

function replace(db: Database, { place, id, sealed, resealed, fingerprint }: ResealedValue): number {
  const column = sealedColumns[place];
  const where = `where ${column.id} = ? and ${column.column} = ?`;
  if (column.fingerprint === null) return db.run(`update ${column.table} set ${column.column} = ? ${where}`, resealed, id, sealed);
  return db.run(`update ${column.table} set ${column.column} = ?, ${column.fingerprint} = ? ${where}`, resealed, fingerprint, id, sealed);
}

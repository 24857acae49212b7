import type { SealedStore, SealedValue } from "../../../ports/stores/sealed-store.ts";
import type { Database } from "../connection/database.ts";
import { blob, text } from "../../sql/rows.ts";
import { keyIdOf, sealedColumns } from "../../sql/sealed-columns.ts";

export function listSealed(db: Database, page: Parameters<SealedStore["listSealed"]>[0]): readonly SealedValue[] {
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

import type { SealedStore, SealedValue } from "../../../ports/stores/sealed-store.ts";
import type { Queries } from "../connection/queries.ts";
import { blob, text } from "../../sql/rows.ts";
import { keyIdOf, sealedColumns } from "../../sql/sealed-columns.ts";

export async function listSealed(db: Queries, page: Parameters<SealedStore["listSealed"]>[0]): Promise<readonly SealedValue[]> {
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

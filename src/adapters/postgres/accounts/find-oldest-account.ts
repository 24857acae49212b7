import type { Account } from "../../../ports/stores/account-store.ts";
import type { Queries } from "../connection/queries.ts";
import { accountOf } from "../../sql/rows.ts";

export async function findOldestAccount(db: Queries): Promise<Account | null> {
  const row = await db.get("select * from accounts order by id limit 1");
  return row === undefined ? null : accountOf(row);
}

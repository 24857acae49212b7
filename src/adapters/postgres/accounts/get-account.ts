import type { Account } from "../../../ports/stores/account-store.ts";
import type { Queries } from "../connection/queries.ts";
import { accountOf } from "../../sql/rows.ts";

export async function getAccount(db: Queries, accountId: string): Promise<Account | null> {
  const row = await db.get("select * from accounts where id = $1", accountId);
  return row === undefined ? null : accountOf(row);
}

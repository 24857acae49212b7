import type { Account } from "../../../ports/stores/account-store.ts";
import type { Database } from "../connection/database.ts";
import { accountOf } from "../../sql/rows.ts";

export function getAccount(db: Database, accountId: string): Account | null {
  const row = db.get("select * from accounts where id = ?", accountId);
  return row === undefined ? null : accountOf(row);
}

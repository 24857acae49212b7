import type { Account } from "../../../ports/stores/account-store.ts";
import type { Database } from "../connection/database.ts";
import { accountOf } from "../../sql/rows.ts";

export function findOldestAccount(db: Database): Account | null {
  const row = db.get("select * from accounts order by id limit 1");
  return row === undefined ? null : accountOf(row);
}

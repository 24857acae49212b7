import type { Account } from "../../../ports/stores/account-store.ts";
import type { Database } from "../connection/database.ts";
import { accountNamed } from "./accounts.ts";
import { getAccount } from "./get-account.ts";

export function findAccount(db: Database, idOrName: string): Account | null {
  return getAccount(db, idOrName) ?? accountNamed(db, idOrName);
}

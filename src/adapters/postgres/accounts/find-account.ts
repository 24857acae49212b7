import type { Account } from "../../../ports/stores/account-store.ts";
import type { Queries } from "../connection/queries.ts";
import { accountNamed } from "./accounts.ts";
import { getAccount } from "./get-account.ts";

export async function findAccount(db: Queries, idOrName: string): Promise<Account | null> {
  return (await getAccount(db, idOrName)) ?? (await accountNamed(db, idOrName));
}

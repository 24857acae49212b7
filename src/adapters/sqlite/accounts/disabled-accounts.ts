import { decodeId } from "../../../domain/ids.ts";
import { disabledAccounts } from "../../sql/accounts/account-state.ts";
import { integer } from "../../sql/rows.ts";
import type { Database } from "../connection/database.ts";

/** Returns the keys of the disabled accounts, for operations that write. Costs nothing while none changes. */
export function disabledKeys(db: Database): ReadonlySet<number> {
  const known = db.cache.disabledAccounts();
  if (known !== null) return known;
  const found = new Set(db.all(disabledAccounts).map((row) => integer(row, "id")));
  db.cache.keepDisabledAccounts(found);
  return found;
}

/** SQL condition: the account of the column is not disabled. */
export function isOfEnabled(column: string): string {
  return `${column} not in (${disabledAccounts})`;
}

/** Returns watches with the deadlines of those of disabled accounts put off: they wait until the account is enabled. */
export function withWaitingDeadlines<Watch extends { readonly accountId: string; readonly expiresAtMs: number }>(
  db: Database,
  watches: readonly Watch[],
): readonly Watch[] {
  const disabled = disabledKeys(db);
  if (disabled.size === 0) return watches;
  return watches.map((watch) => (disabled.has(decodeId(watch.accountId)) ? { ...watch, expiresAtMs: Infinity } : watch));
}

/** Returns the watches for which a call is polled. */
export function withoutDisabled<Watch extends { readonly accountId: string }>(db: Database, watches: readonly Watch[]): readonly Watch[] {
  const disabled = disabledKeys(db);
  return disabled.size === 0 ? watches : watches.filter(({ accountId }) => !disabled.has(decodeId(accountId)));
}

import { disabledAccounts } from "../../sql/accounts/account-state.ts";

/**
 * SQL condition: the account of the column is not disabled. The statement reads the disabled ones once. With `coalesce` the
 * planner takes the condition for one that many rows meet. By the comparison alone it expects no row of a table with few
 * accounts, and reads all watches of a call for its first one.
 */
export function isOfEnabled(column: string): string {
  return `coalesce(${column} <> all(array(${disabledAccounts})), true)`;
}

/** SQL condition: the account of the column is disabled. */
export function isOfDisabled(column: string): string {
  return `${column} = any(array(${disabledAccounts}))`;
}

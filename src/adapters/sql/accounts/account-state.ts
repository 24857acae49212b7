import { decodeId, newId } from "../../../domain/ids.ts";
import { accountKinds } from "../../../domain/deliveries/marks.ts";
import type { MarkKind } from "../../../domain/deliveries/marks.ts";
import type { AccountStore, SetAccountStateResult } from "../../../ports/stores/account-store.ts";
import { recordAudit } from "../audit/audit.ts";
import { insertMark } from "../marks/mark-rows.ts";
import { endLinksOf } from "../portal/portal-links.ts";
import type { SqlQueries, SqlTransaction } from "../queries.ts";
import { accountOf, id, integerOrNull } from "../rows.ts";

export const reads = { listDisabledAccounts };
export const writes = { setAccountState };

/** SQL query: keys of the accounts that are disabled. They are few, and the partial index has nothing else. */
export const disabledAccounts = "select id from accounts where disabled_at is not null";

const kindsOfAccounts = [...accountKinds].map((kind) => `'${kind}'`).join(", ");

async function listDisabledAccounts(db: SqlQueries): Promise<readonly string[]> {
  return (await db.all(disabledAccounts)).map((row) => id(row, "acc", "id"));
}

/**
 * Disables or enables an account. The time of the first change stays. Its calls and hosts follow: those of a disabled account
 * are passed over by every reader, and marks bring those of an enabled one back.
 */
async function setAccountState(
  tx: SqlTransaction,
  { accountId, isDisabled, by, nowMs }: Parameters<AccountStore["setAccountState"]>[0],
): Promise<SetAccountStateResult> {
  const accountKey = decodeId(accountId);
  const row = await tx.get(`select * from accounts where id = ?1${tx.rowLock}`, accountKey);
  if (row === undefined) return { kind: "unknown" };
  if (integerOrNull(row, "removed_at") !== null) return { kind: "being_removed" };
  const account = accountOf(row);
  if ((account.disabledAtMs !== null) === isDisabled) return { kind: "unchanged", account };
  const disabledAtMs = isDisabled ? nowMs : null;
  const disablings = account.disablings + (isDisabled ? 1 : 0);
  await tx.run("update accounts set disabled_at = ?2, disablings = ?3 where id = ?1", accountKey, disabledAtMs, disablings);
  if (isDisabled) await endLinksOf(tx, "account_id", accountKey, nowMs);
  // This change covers the rows that the marks of an earlier change have not reached.
  await dropAccountMarks(tx, accountKey);
  if (!isDisabled) for (const kind of ["calls_resumed", "hosts_opened"] as const) await markAccount(tx, accountKey, kind, nowMs);
  tx.changed?.add("accounts");
  const action = isDisabled ? "account.disabled" : "account.enabled";
  await recordAudit(tx, by, { accountId, action, target: { kind: "account", id: accountId }, detail: {}, nowMs });
  return { kind: "changed", account: { ...account, disabledAtMs, disablings } };
}

/** Deletes the marks of the account itself. */
export async function dropAccountMarks(tx: SqlTransaction, accountKey: number): Promise<void> {
  await tx.run(`delete from marks where account_id = ?1 and kind in (${kindsOfAccounts})`, accountKey);
}

/** Sets a mark whose target is the account itself. It holds for all rows, also for later ones. */
export async function markAccount(tx: SqlTransaction, accountKey: number, kind: MarkKind, nowMs: number): Promise<void> {
  await tx.run(insertMark, decodeId(newId("mrk", nowMs)), kind, accountKey, accountKey, Number.MAX_SAFE_INTEGER, 0, "{}", nowMs);
}

import { decodeId } from "../../../domain/ids.ts";
import type { Mark } from "../../../domain/deliveries/marks.ts";
import type { AccountStore, RemoveAccountResult } from "../../../ports/stores/account-store.ts";
import type { WatchedCall } from "../../../ports/stores/call-store.ts";
import type { SqlTransaction } from "../queries.ts";
import { accountOf, integer } from "../rows.ts";
import type { Row } from "../rows.ts";
import { dropAccountMarks, markAccount } from "./account-state.ts";

export const writes = { removeAccount };

/**
 * Time from the removal to the first portion. By then every process has seen that the keys are unknown, and requests that began
 * before have ended: none of them adds rows to an account that is being erased.
 */
const erasureDelayMs = 6000;

/** Result of one portion. `isDone` once the account is deleted. */
export type Erased = {
  readonly rows: number;
  readonly isDone: boolean;
  readonly unwatchedCallIds: readonly string[];
  readonly resumedCalls: readonly WatchedCall[];
};

/** Number of rows that an event counts as: it has deliveries, and each of these has attempts. */
export const rowsOfEvent = 3;

/** Whether a removal has waited for the requests that began before it. */
export function mayErase({ createdAtMs }: Mark, nowMs: number): boolean {
  return nowMs >= createdAtMs + erasureDelayMs;
}

/** Disables an account for good: its keys are unknown and its sources removed at once, and its rows follow in portions. */
async function removeAccount(
  tx: SqlTransaction,
  { accountId, nowMs }: Parameters<AccountStore["removeAccount"]>[0],
): Promise<RemoveAccountResult> {
  const accountKey = decodeId(accountId);
  const row = await tx.get(`select * from accounts where id = ?1${tx.rowLock}`, accountKey);
  if (row === undefined) return { kind: "unknown" };
  if (row["removed_at"] !== null) return { kind: "being_removed" };
  await tx.run(
    "update accounts set removed_at = ?2, disabled_at = ?3 where id = ?1",
    accountKey,
    nowMs,
    accountOf(row).disabledAtMs ?? nowMs,
  );
  await tx.run(
    "update sources set removed_at = ?2, updated_at = ?2, revision = revision + 1 where account_id = ?1 and removed_at is null",
    accountKey,
    nowMs,
  );
  await dropAccountMarks(tx, accountKey);
  await markAccount(tx, accountKey, "account_removed", nowMs);
  tx.changed?.add("accounts");
  tx.changed?.add("sources");
  return { kind: "removing" };
}

/**
 * Tables with rows of an account that nothing refers to once those before them are empty, each with a range and an order by which
 * every planner enters the index of the account.
 */
const byId = { range: "(account_id, id) >= (?1, 0) and account_id <= ?1", order: "account_id, id" };
const tables = [
  { table: "stored_answers", range: "(account_id, expires_at) >= (?1, 0) and account_id <= ?1", order: "account_id, expires_at" },
  { table: "placings", ...byId },
  { table: "endpoints", ...byId },
  { table: "hosts", ...byId },
  { table: "secrets", ...byId },
  { table: "portal_links", ...byId },
  { table: "api_keys", ...byId },
  { table: "audit", ...byId },
  { table: "sources", range: "account_id = ?1", order: "id" },
] as const;

/** Deletes rows by their keys, in the dialect of the database, and returns their number. */
export type DeleteRows = (table: string, rows: readonly Row[]) => number | Promise<number>;

/**
 * Deletes the next rows of an account without events and watches. Returns 0 once the account itself is deleted, with which its
 * name is free.
 */
export async function eraseRest(tx: SqlTransaction, accountKey: number, portion: number, deleteRows: DeleteRows): Promise<number> {
  const hooks = await eraseHooks(tx, accountKey, portion);
  if (hooks > 0) return hooks;
  for (const { table, range, order } of tables) {
    if (table === "secrets") await tx.run("update accounts set default_secret_id = null where id = ?1", accountKey);
    const rows = await tx.all(`select id from ${table} where ${range} order by ${order} limit ?2`, accountKey, portion);
    if (rows.length > 0) return deleteRows(table, rows);
  }
  await tx.run("delete from accounts where id = ?1", accountKey);
  return 0;
}

/** Deletes the next hooks of an account, each after its progress. Returns the number of rows. */
async function eraseHooks(tx: SqlTransaction, accountKey: number, portion: number): Promise<number> {
  const hooks = await tx.all(`select id from hooks where ${byId.range} order by ${byId.order} limit ?2`, accountKey, portion);
  let erased = 0;
  for (const hook of hooks) {
    const hookKey = integer(hook, "id");
    const calls = await tx.all("select call_id from hook_progress where hook_id = ?1 limit ?2", hookKey, portion - erased);
    for (const row of calls)
      await tx.run("delete from hook_progress where call_id = ?1 and hook_id = ?2", integer(row, "call_id"), hookKey);
    erased += calls.length;
    if (erased === portion) break;
    await tx.run("delete from hooks where id = ?1", hookKey);
    erased += 1;
    if (erased === portion) break;
  }
  return erased;
}

/** Deletes the other marks of an account that is erased: what they would change is deleted. Returns their number. */
export async function dropOtherMarks(tx: SqlTransaction, { key, accountKey }: Mark): Promise<number> {
  return tx.run("delete from marks where account_id = ?1 and id <> ?2", accountKey, key);
}

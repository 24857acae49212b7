import type { AccountStore } from "../../../ports/stores/account-store.ts";
import type { Transaction } from "../connection/transaction.ts";
import { apiKeyOf, text } from "../../sql/rows.ts";

/** One that was revoked before stays revoked since then. */
export async function revokeKey(
  tx: Transaction,
  { keyId, nowMs }: Parameters<AccountStore["revokeKey"]>[0],
): Promise<Awaited<ReturnType<AccountStore["revokeKey"]>>> {
  await tx.run("update api_keys set revoked_at = $1 where id = $2 and revoked_at is null", nowMs, keyId);
  const row = await tx.get("select id, name, account_id, created_at, revoked_at from api_keys where id = $1", keyId);
  return row === undefined ? null : { key: apiKeyOf(row), accountId: text(row, "account_id") };
}

import type { AccountStore } from "../../../ports/stores/account-store.ts";
import type { Database } from "../connection/database.ts";
import { apiKeyOf, text } from "../../sql/rows.ts";

/** One that was revoked before stays revoked since then. */
export function revokeKey(
  db: Database,
  { keyId, nowMs }: Parameters<AccountStore["revokeKey"]>[0],
): Awaited<ReturnType<AccountStore["revokeKey"]>> {
  db.run("update api_keys set revoked_at = ? where id = ? and revoked_at is null", nowMs, keyId);
  const row = db.get("select id, name, account_id, created_at, revoked_at from api_keys where id = ?", keyId);
  return row === undefined ? null : { key: apiKeyOf(row), accountId: text(row, "account_id") };
}

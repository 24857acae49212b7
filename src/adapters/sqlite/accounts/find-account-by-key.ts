import type { AccountStore } from "../../../ports/stores/account-store.ts";
import type { Database } from "../connection/database.ts";
import { accountOf, text } from "../../sql/rows.ts";

export function findAccountByKey(db: Database, fingerprints: readonly string[]): Awaited<ReturnType<AccountStore["findAccountByKey"]>> {
  for (const fingerprint of fingerprints) {
    const row = db.get(
      "select a.*, k.id as key_id from api_keys k join accounts a on a.id = k.account_id where k.fingerprint = ? and k.revoked_at is null",
      fingerprint,
    );
    if (row !== undefined) return { account: accountOf(row), keyId: text(row, "key_id") };
  }
  return null;
}

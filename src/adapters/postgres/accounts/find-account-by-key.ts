import type { AccountStore } from "../../../ports/stores/account-store.ts";
import type { Queries } from "../connection/queries.ts";
import { accountOf, text } from "../../sql/rows.ts";

/** Of several keys the one whose fingerprint is named first. */
export async function findAccountByKey(
  db: Queries,
  fingerprints: readonly string[],
): Promise<Awaited<ReturnType<AccountStore["findAccountByKey"]>>> {
  const row = await db.get(
    `select a.*, k.id as key_id from api_keys k join accounts a on a.id = k.account_id
     where k.fingerprint = any($1) and k.revoked_at is null order by array_position($1, k.fingerprint) limit 1`,
    fingerprints,
  );
  return row === undefined ? null : { account: accountOf(row), keyId: text(row, "key_id") };
}

import type { AccountStore, ApiKeyDraft } from "../../../ports/stores/account-store.ts";
import type { Transaction } from "../connection/transaction.ts";
import { insertKey } from "./api-keys.ts";
import { text } from "../../sql/rows.ts";

/** A key of the same name with another value is revoked: whoever changed the environment wants the old one gone. */
export async function ensureKey(tx: Transaction, draft: ApiKeyDraft): Promise<Awaited<ReturnType<AccountStore["ensureKey"]>>> {
  const { accountId, name, fingerprints, nowMs } = draft;
  // Instances that start together keep it in step one after the other.
  await tx.get("select 1 from accounts where id = $1 for no key update", accountId);
  const known = await tx.get("select id, account_id from api_keys where fingerprint = any($1) limit 1", fingerprints);
  if (known !== undefined && known["account_id"] !== accountId) return { kind: "belongs_to_another", accountId: text(known, "account_id") };
  const knownId = known === undefined ? null : text(known, "id");
  const revoked = await tx.run(
    "update api_keys set revoked_at = $1 where account_id = $2 and name = $3 and revoked_at is null and id is distinct from $4",
    nowMs,
    accountId,
    name,
    knownId,
  );
  if (revoked > 0) tx.changed.add("accounts");
  if (knownId === null) await insertKey(tx, draft);
  else await tx.run("update api_keys set revoked_at = null, name = $1 where id = $2", name, knownId);
  return { kind: "ensured" };
}

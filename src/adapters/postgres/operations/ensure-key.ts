import type { AccountStore } from "../../../ports/account-store.ts";
import type { Transaction } from "../database.ts";
import { text } from "../tables/rows.ts";

/** A key of the same name with another value is revoked: whoever changed the environment wants the old one gone. */
export async function ensureKey(tx: Transaction, draft: Parameters<AccountStore["ensureKey"]>[0]): Promise<void> {
  const { accountId, name, fingerprints, nowMs } = draft;
  // Instances that start together keep it in step one after the other.
  await tx.get("select 1 from accounts where id = $1 for no key update", accountId);
  const known = await tx.get("select id from api_keys where account_id = $1 and fingerprint = any($2)", accountId, fingerprints);
  const knownId = known === undefined ? null : text(known, "id");
  const revoked = await tx.run(
    "update api_keys set revoked_at = $1 where account_id = $2 and name = $3 and revoked_at is null and id is distinct from $4",
    nowMs,
    accountId,
    name,
    knownId,
  );
  if (revoked > 0) tx.changed.add("accounts");
  if (knownId !== null) {
    await tx.run("update api_keys set revoked_at = null, name = $1 where id = $2", name, knownId);
    return;
  }
  await tx.run(
    "insert into api_keys (id, account_id, name, fingerprint, created_at) values ($1, $2, $3, $4, $5)",
    draft.id,
    accountId,
    name,
    fingerprints[0] ?? "",
    nowMs,
  );
}

import type { AccountStore } from "../../../ports/account-store.ts";
import type { Database } from "../database.ts";

/** A key of the same name with another value is revoked: whoever changed the environment wants the old one gone. */
export function ensureKey(db: Database, draft: Parameters<AccountStore["ensureKey"]>[0]): void {
  const { accountId, name, fingerprints, nowMs } = draft;
  const known = db.get(
    "select id, fingerprint, revoked_at from api_keys where account_id = ? and fingerprint in (select value from json_each(?))",
    accountId,
    JSON.stringify(fingerprints),
  );
  db.run(
    "update api_keys set revoked_at = ? where account_id = ? and name = ? and revoked_at is null and id is not ?",
    nowMs,
    accountId,
    name,
    (known?.["id"] as string) ?? null,
  );
  if (known !== undefined) {
    db.run("update api_keys set revoked_at = null, name = ? where id = ?", name, known["id"] as string);
    return;
  }
  db.run(
    "insert into api_keys (id, account_id, name, fingerprint, created_at) values (?, ?, ?, ?, ?)",
    draft.id,
    accountId,
    name,
    fingerprints[0] ?? "",
    nowMs,
  );
}

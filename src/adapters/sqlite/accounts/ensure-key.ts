import type { AccountStore, ApiKeyDraft } from "../../../ports/stores/account-store.ts";
import type { Database } from "../connection/database.ts";
import { insertKey } from "./api-keys.ts";
import { text } from "../../sql/rows.ts";

/** A key of the same name with another value is revoked: whoever changed the environment wants the old one gone. */
export function ensureKey(db: Database, draft: ApiKeyDraft): Awaited<ReturnType<AccountStore["ensureKey"]>> {
  const { accountId, name, fingerprints, nowMs } = draft;
  const known = db.get(
    "select id, account_id from api_keys where fingerprint in (select value from json_each(?)) limit 1",
    JSON.stringify(fingerprints),
  );
  if (known !== undefined && known["account_id"] !== accountId) return { kind: "belongs_to_another", accountId: text(known, "account_id") };
  const knownId = known === undefined ? null : text(known, "id");
  db.run(
    "update api_keys set revoked_at = ? where account_id = ? and name = ? and revoked_at is null and id is not ?",
    nowMs,
    accountId,
    name,
    knownId,
  );
  if (knownId === null) insertKey(db, draft);
  else db.run("update api_keys set revoked_at = null, name = ? where id = ?", name, knownId);
  return { kind: "ensured" };
}

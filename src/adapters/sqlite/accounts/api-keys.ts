import type { ApiKeyDraft } from "../../../ports/stores/account-store.ts";
import type { Database } from "../connection/database.ts";

export function insertKey(db: Database, { id, accountId, name, fingerprints, nowMs }: ApiKeyDraft): void {
  db.run(
    "insert into api_keys (id, account_id, name, fingerprint, created_at) values (?, ?, ?, ?, ?)",
    id,
    accountId,
    name,
    fingerprints[0] ?? "",
    nowMs,
  );
}

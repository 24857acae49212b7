import type { ApiKeyDraft } from "../../../ports/stores/account-store.ts";
import type { Queries } from "../connection/queries.ts";

export async function insertKey(db: Queries, { id, accountId, name, fingerprints, nowMs }: ApiKeyDraft): Promise<void> {
  await db.run(
    "insert into api_keys (id, account_id, name, fingerprint, created_at) values ($1, $2, $3, $4, $5)",
    id,
    accountId,
    name,
    fingerprints[0] ?? "",
    nowMs,
  );
}

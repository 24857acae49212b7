import type { ApiKeyDraft, ApiKeyView } from "../../../ports/account-store.ts";
import type { Queries, Row } from "../database.ts";
import { integer, integerOrNull, text } from "../../rows.ts";

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

export function keyOf(row: Row): ApiKeyView {
  return {
    id: text(row, "id"),
    name: text(row, "name"),
    createdAtMs: integer(row, "created_at"),
    revokedAtMs: integerOrNull(row, "revoked_at"),
  };
}

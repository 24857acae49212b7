import type { ApiKeyDraft, ApiKeyView } from "../../../ports/account-store.ts";
import type { Database, Row } from "../database.ts";
import { integer, integerOrNull, text } from "../../rows.ts";

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

export function keyOf(row: Row): ApiKeyView {
  return {
    id: text(row, "id"),
    name: text(row, "name"),
    createdAtMs: integer(row, "created_at"),
    revokedAtMs: integerOrNull(row, "revoked_at"),
  };
}

import type { AccountStore, ApiKeyDraft, ApiKeyView } from "../../../ports/stores/account-store.ts";
import { accountOf, apiKeyOf, text } from "../../sql/rows.ts";
import type { Database } from "../connection/database.ts";

export const reads = { findAccountByKey, listKeys };
export const writes = { createKey, ensureKey, revokeKey };

export function createKey(db: Database, { id, accountId, name, fingerprints, nowMs }: ApiKeyDraft): void {
  db.run(
    "insert into api_keys (id, account_id, name, fingerprint, created_at) values (?, ?, ?, ?, ?)",
    id,
    accountId,
    name,
    fingerprints[0] ?? "",
    nowMs,
  );
}

/** Revokes a key of the same name with another value, because a changed environment replaces the old key. */
function ensureKey(db: Database, draft: ApiKeyDraft): Awaited<ReturnType<AccountStore["ensureKey"]>> {
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
  if (knownId === null) createKey(db, draft);
  else db.run("update api_keys set revoked_at = null, name = ? where id = ?", name, knownId);
  return { kind: "ensured" };
}

function findAccountByKey(db: Database, fingerprints: readonly string[]): Awaited<ReturnType<AccountStore["findAccountByKey"]>> {
  for (const fingerprint of fingerprints) {
    const row = db.get(
      "select a.*, k.id as key_id from api_keys k join accounts a on a.id = k.account_id where k.fingerprint = ? and k.revoked_at is null",
      fingerprint,
    );
    if (row !== undefined) return { account: accountOf(row), keyId: text(row, "key_id") };
  }
  return null;
}

function listKeys(db: Database, accountId: string): readonly ApiKeyView[] {
  return db.all("select id, name, created_at, revoked_at from api_keys where account_id = ? order by id", accountId).map(apiKeyOf);
}

/** Revokes a key. A repeat keeps the time of the first revocation. */
function revokeKey(
  db: Database,
  { keyId, nowMs }: Parameters<AccountStore["revokeKey"]>[0],
): Awaited<ReturnType<AccountStore["revokeKey"]>> {
  db.run("update api_keys set revoked_at = ? where id = ? and revoked_at is null", nowMs, keyId);
  const row = db.get("select id, name, account_id, created_at, revoked_at from api_keys where id = ?", keyId);
  return row === undefined ? null : { key: apiKeyOf(row), accountId: text(row, "account_id") };
}

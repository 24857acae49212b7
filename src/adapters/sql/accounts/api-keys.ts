import { decodeId } from "../../../domain/ids.ts";
import type { AccountStore, ApiKeyDraft, ApiKeyView } from "../../../ports/stores/account-store.ts";
import type { SqlQueries, SqlTransaction } from "../queries.ts";
import { accountOf, apiKeyOf, id, integer } from "../rows.ts";
import type { Row } from "../rows.ts";

export const reads = { findAccountByKey, listKeys };
export const writes = { createKey, ensureKey, revokeKey };

export async function createKey(tx: SqlTransaction, { id, accountId, name, fingerprints, nowMs }: ApiKeyDraft): Promise<void> {
  await tx.run(
    "insert into api_keys (id, account_id, name, fingerprint, created_at) values (?1, ?2, ?3, ?4, ?5)",
    decodeId(id),
    decodeId(accountId),
    name,
    fingerprints[0] ?? "",
    nowMs,
  );
}

/** Creates or restores a key. Revokes other keys of the same name, because a changed environment variable must replace the old key. */
async function ensureKey(tx: SqlTransaction, draft: ApiKeyDraft): ReturnType<AccountStore["ensureKey"]> {
  const { accountId, name, fingerprints, nowMs } = draft;
  // Instances that start together wait for each other here.
  await tx.get(`select 1 from accounts where id = ?1${tx.rowLock}`, decodeId(accountId));
  const known = await getFirst(tx, "select id, account_id from api_keys where fingerprint = ?1", fingerprints);
  if (known !== undefined && known["account_id"] !== decodeId(accountId))
    return { kind: "belongs_to_another", accountId: id(known, "acc", "account_id") };
  const knownKey = known === undefined ? null : integer(known, "id");
  const revoked = await tx.run(
    "update api_keys set revoked_at = ?1 where account_id = ?2 and name = ?3 and revoked_at is null and id is distinct from ?4",
    nowMs,
    decodeId(accountId),
    name,
    knownKey,
  );
  if (revoked > 0) tx.changed?.add("accounts");
  if (knownKey === null) await createKey(tx, draft);
  else await tx.run("update api_keys set revoked_at = null, name = ?1 where id = ?2", name, knownKey);
  return { kind: "ensured" };
}

async function listKeys(db: SqlQueries, accountId: string): Promise<readonly ApiKeyView[]> {
  const rows = await db.all("select id, name, created_at, revoked_at from api_keys where account_id = ?1 order by id", decodeId(accountId));
  return rows.map(apiKeyOf);
}

/** Revokes a key. A repeat keeps the time of the first revocation. */
async function revokeKey(
  tx: SqlTransaction,
  { keyId, nowMs }: Parameters<AccountStore["revokeKey"]>[0],
): ReturnType<AccountStore["revokeKey"]> {
  await tx.run("update api_keys set revoked_at = ?1 where id = ?2 and revoked_at is null", nowMs, decodeId(keyId));
  const row = await tx.get("select id, name, account_id, created_at, revoked_at from api_keys where id = ?1", decodeId(keyId));
  return row === undefined ? null : { key: apiKeyOf(row), accountId: id(row, "acc", "account_id") };
}

/** Finds the account of a key. If several keys match, the first of the fingerprints decides. */
async function findAccountByKey(db: SqlQueries, fingerprints: readonly string[]): ReturnType<AccountStore["findAccountByKey"]> {
  const row = await getFirst(
    db,
    "select a.*, k.id as key_id from api_keys k join accounts a on a.id = k.account_id where k.fingerprint = ?1 and k.revoked_at is null",
    fingerprints,
  );
  return row === undefined ? null : { account: accountOf(row), keyId: id(row, "key", "key_id") };
}

/** Returns the row of the first fingerprint that has one. Fingerprints are few, so each is one statement. */
async function getFirst(db: SqlQueries, sql: string, fingerprints: readonly string[]): Promise<Row | undefined> {
  for (const fingerprint of fingerprints) {
    const row = await db.get(sql, fingerprint);
    if (row !== undefined) return row;
  }
  return undefined;
}

import type { Actor } from "../../../domain/audit.ts";
import { keyScopes } from "../../../domain/secrets/key-scopes.ts";
import { decodeId } from "../../../domain/ids.ts";
import { maxKeysPerAccount } from "../../../ports/stores/account-store.ts";
import type { AccountStore, ApiKeyDraft, ApiKeyView } from "../../../ports/stores/account-store.ts";
import type { SqlQueries, SqlTransaction } from "../queries.ts";
import { isoTime } from "../../../domain/events/payload.ts";
import { recordAudit } from "../audit/audit.ts";
import { endLinksOf } from "../portal/portal-links.ts";
import { listByIds } from "../reading/page.ts";
import { accountOf, apiKeyOf, apiKeyViewOf, id, integer, keyOrNull } from "../rows.ts";
import type { Row } from "../rows.ts";

export const reads = { findAccountByKey, listKeys, pageKeys };
export const writes = { createKey, ensureKey, noteKeyUses, revokeKey };

const names = ["id", "account_id", "name", "scopes", "expires_at"];
const viewColumns = [...names, "created_at", "last_used_at", "revoked_at"].join(", ");

export async function insertKey(tx: SqlTransaction, draft: ApiKeyDraft): Promise<void> {
  const { id, accountId, name, fingerprints, scopes, expiresAtMs, by, nowMs } = draft;
  await tx.run(
    "insert into api_keys (id, account_id, name, fingerprint, scopes, expires_at, created_at) values (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    decodeId(id),
    keyOrNull(accountId),
    name,
    fingerprints[0] ?? "",
    scopes.length === keyScopes.length ? null : JSON.stringify(scopes),
    expiresAtMs,
    nowMs,
  );
  await recordAudit(tx, by, {
    accountId,
    action: "key.created",
    target: { kind: "key", id },
    detail: { name, scopes, expires_at: isoTime(expiresAtMs) },
    nowMs,
  });
}

/** Instances that create keys at the same time may exceed the limit by some. */
export async function createKey(tx: SqlTransaction, draft: ApiKeyDraft): ReturnType<AccountStore["createKey"]> {
  if (draft.by !== null && (await isRevoked(tx, draft.by))) return { kind: "revoked" };
  if (draft.accountId !== null) {
    const last = await tx.get(
      "select id from api_keys where account_id = ?1 and revoked_at is null and (expires_at is null or expires_at > ?2) order by id limit 1 offset ?3",
      decodeId(draft.accountId),
      draft.nowMs,
      maxKeysPerAccount - 1,
    );
    if (last !== undefined) return { kind: "too_many" };
  }
  await insertKey(tx, draft);
  return { kind: "created" };
}

/**
 * Whether the requesting key is revoked. An instance accepts a revoked key for some seconds, and a new key would outlive the
 * revocation.
 */
async function isRevoked(tx: SqlTransaction, by: Actor): Promise<boolean> {
  if (by.id === null || !by.id.startsWith("key_")) return false;
  const row = await tx.get(`select revoked_at from api_keys where id = ?1${tx.rowLock}`, decodeId(by.id));
  return row !== undefined && row["revoked_at"] !== null;
}

/** Creates or restores a key. Revokes other keys of the same name, because a changed environment variable must replace the old key. */
async function ensureKey(tx: SqlTransaction, draft: Parameters<AccountStore["ensureKey"]>[0]): ReturnType<AccountStore["ensureKey"]> {
  const { accountId, name, fingerprints, nowMs } = draft;
  // Instances that start together wait for each other here.
  await tx.get(`select 1 from accounts where id = ?1${tx.rowLock}`, decodeId(accountId));
  const known = await getFirst(tx, "select id, account_id from api_keys where fingerprint = ?1", fingerprints);
  if (known !== undefined && known["account_id"] !== decodeId(accountId))
    return { kind: "belongs_to_another", accountId: known["account_id"] === null ? null : id(known, "acc", "account_id") };
  const knownKey = known === undefined ? null : integer(known, "id");
  const revoked = await tx.run(
    "update api_keys set revoked_at = ?1 where account_id = ?2 and name = ?3 and revoked_at is null and id is distinct from ?4",
    nowMs,
    decodeId(accountId),
    name,
    knownKey,
  );
  if (revoked > 0) tx.changed?.add("accounts");
  if (knownKey === null) await insertKey(tx, { ...draft, scopes: keyScopes, expiresAtMs: null, by: null });
  else await tx.run("update api_keys set revoked_at = null, name = ?1, scopes = null, expires_at = null where id = ?2", name, knownKey);
  return { kind: "ensured" };
}

async function listKeys(db: SqlQueries, accountId: string | null): Promise<readonly ApiKeyView[]> {
  const rows = await db.all(
    `select ${viewColumns} from api_keys where account_id is not distinct from ?1 order by id`,
    keyOrNull(accountId),
  );
  return rows.map(apiKeyViewOf);
}

function pageKeys(db: SqlQueries, query: Parameters<AccountStore["pageKeys"]>[0]): ReturnType<AccountStore["pageKeys"]> {
  const conditions = [["account_id = ?", decodeId(query.accountId)]] as const;
  return listByIds(db, `select ${viewColumns} from api_keys`, "id", conditions, query, apiKeyViewOf);
}

/** Revokes a key. A repeat keeps the time of the first revocation. */
async function revokeKey(
  tx: SqlTransaction,
  { keyId, accountId, by, nowMs }: Parameters<AccountStore["revokeKey"]>[0],
): ReturnType<AccountStore["revokeKey"]> {
  const found = await tx.get(`select account_id, revoked_at from api_keys where id = ?1${tx.rowLock}`, decodeId(keyId));
  if (found === undefined || (accountId !== null && found["account_id"] !== decodeId(accountId))) return null;
  const isValid = found["revoked_at"] === null;
  if (isValid) {
    await endLinksOf(tx, "key_id", decodeId(keyId), nowMs);
    await tx.run("update api_keys set revoked_at = ?1 where id = ?2", nowMs, decodeId(keyId));
  }
  const row = await tx.get(`select ${viewColumns} from api_keys where id = ?1`, decodeId(keyId));
  if (row === undefined) return null;
  const view = apiKeyViewOf(row);
  if (isValid) {
    tx.changed?.add("accounts");
    const change = { accountId: view.accountId, action: "key.revoked", target: { kind: "key", id: keyId } } as const;
    await recordAudit(tx, by, { ...change, detail: { name: view.name }, nowMs });
  }
  return view;
}

/** Notes uses in the order of their keys, so that instances that note the same keys do not wait for each other in a circle. */
async function noteKeyUses(tx: SqlTransaction, uses: Parameters<AccountStore["noteKeyUses"]>[0]): Promise<void> {
  const ordered = uses.map(({ keyId, usedAtMs }) => [decodeId(keyId), usedAtMs] as const).toSorted(([a], [b]) => a - b);
  await Promise.all(
    ordered.map(([key, usedAtMs]) =>
      tx.run("update api_keys set last_used_at = ?2 where id = ?1 and (last_used_at is null or last_used_at < ?2)", key, usedAtMs),
    ),
  );
}

/** Finds a key and its account. If several keys match, the first of the fingerprints decides. */
async function findAccountByKey(db: SqlQueries, fingerprints: readonly string[]): ReturnType<AccountStore["findAccountByKey"]> {
  const row = await getFirst(
    db,
    `select a.*, ${names.map((name) => `k.${name} as key_${name}`).join(", ")}
     from api_keys k left join accounts a on a.id = k.account_id where k.fingerprint = ?1 and k.revoked_at is null and a.removed_at is null`,
    fingerprints,
  );
  if (row === undefined) return null;
  const key = apiKeyOf(Object.fromEntries(names.map((name) => [name, row[`key_${name}`]])));
  return { account: key.accountId === null ? null : accountOf(row), key };
}

const unmarked = "account_id is not null and revoked_at is null and announced_at is null";
/** SQL condition: the key ends at `?1` or before, and was not announced. */
export const dueKey = `expires_at is not null and expires_at <= ?1 and ${unmarked}`;

/** Marks keys that end soon, each once, and returns them. Instances that sweep together mark different keys. */
export async function markExpiringKeys(
  tx: SqlTransaction,
  { beforeMs, nowMs, limit }: Parameters<AccountStore["announceExpiringKeys"]>[0],
): Promise<readonly { readonly accountId: string; readonly keyId: string }[]> {
  const due = await tx.all(`select id from api_keys where ${dueKey} order by expires_at limit ?2`, beforeMs, limit);
  const marked: { readonly accountId: string; readonly keyId: string }[] = [];
  for (const key of due.map((row) => integer(row, "id")).toSorted((a, b) => a - b)) {
    const row = await tx.get(`update api_keys set announced_at = ?2 where id = ?1 and ${unmarked} returning id, account_id`, key, nowMs);
    if (row !== undefined) marked.push({ accountId: id(row, "acc", "account_id"), keyId: id(row, "key", "id") });
  }
  return marked;
}

/** Returns the row of the first fingerprint that has one. Fingerprints are few, so each is one statement. */
async function getFirst(db: SqlQueries, sql: string, fingerprints: readonly string[]): Promise<Row | undefined> {
  for (const fingerprint of fingerprints) {
    const row = await db.get(sql, fingerprint);
    if (row !== undefined) return row;
  }
  return undefined;
}

import type { PlacingRights } from "../../../domain/calls/placing.ts";
import { decodeId } from "../../../domain/ids.ts";
import type { Account, AccountStore, ApiKeyDraft } from "../../../ports/stores/account-store.ts";
import type { SqlQueries, SqlTransaction } from "../queries.ts";
import type { AuditDetail } from "../../../domain/audit.ts";
import { recordAudit } from "../audit/audit.ts";
import { accountOf } from "../rows.ts";
import { insertKey } from "./api-keys.ts";

export const reads = { findAccount, findOldestAccount, getAccount };
export const writes = { createAccount, ensureAccount, setAccount };

/** Inserts an account and returns true, or returns false if the name exists. Waits for a concurrent insert of the same name. */
async function insertAccount(tx: SqlTransaction, draft: Account): Promise<boolean> {
  const inserted = await tx.run(
    `insert into accounts (id, name, uses_default_source, sealed_signing_key, public_key, created_at, may_place, place_to, place_per_minute, place_per_day)
     values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) on conflict (name) do nothing`,
    decodeId(draft.id),
    draft.name,
    draft.usesDefaultSource,
    draft.sealedSigningKey,
    draft.publicKey,
    draft.createdAtMs,
    ...placingColumns(draft.placing),
  );
  if (inserted > 0) tx.changed?.add("accounts");
  return inserted > 0;
}

function placingColumns({ mayPlace, prefixes, perMinute, perDay }: PlacingRights) {
  return [mayPlace, prefixes === null ? null : JSON.stringify(prefixes), perMinute, perDay] as const;
}

async function createAccount(tx: SqlTransaction, draft: Account, firstKey: ApiKeyDraft): ReturnType<AccountStore["createAccount"]> {
  if (!(await insertAccount(tx, draft))) return { kind: "name_taken", account: await requireAccount(tx, draft.name) };
  await insertKey(tx, firstKey);
  return { kind: "created" };
}

async function ensureAccount(tx: SqlTransaction, draft: Account): Promise<Account> {
  await insertAccount(tx, draft);
  return requireAccount(tx, draft.name);
}

async function setAccount(
  tx: SqlTransaction,
  { accountId, changes, by, nowMs }: Parameters<AccountStore["setAccount"]>[0],
): Promise<Account | null> {
  const row = await tx.get(`select * from accounts where id = ?1${tx.rowLock}`, decodeId(accountId));
  if (row === undefined) return null;
  const { placing, usesDefaultSource } = accountOf(row);
  await tx.run(
    "update accounts set uses_default_source = ?2, may_place = ?3, place_to = ?4, place_per_minute = ?5, place_per_day = ?6 where id = ?1",
    decodeId(accountId),
    changes.usesDefaultSource ?? usesDefaultSource,
    ...placingColumns({ ...placing, ...changes }),
  );
  tx.changed?.add("accounts");
  const after = await getAccount(tx, accountId);
  const detail = after === null ? null : accountChanges(accountOf(row), after);
  if (detail !== null)
    await recordAudit(tx, by, { accountId, action: "account.changed", target: { kind: "account", id: accountId }, detail, nowMs });
  return after;
}

/** Returns the settings that differ, with their new values; `null` if none does. */
function accountChanges(before: Account, after: Account): AuditDetail | null {
  const [old, present] = [before, after].map(({ usesDefaultSource, placing }) => ({
    default_source: usesDefaultSource,
    may_place: placing.mayPlace,
    place_to: placing.prefixes,
    place_per_minute: placing.perMinute,
    place_per_day: placing.perDay,
  }));
  const changed = Object.entries(present ?? {}).filter(
    ([name, value]) => JSON.stringify(value) !== JSON.stringify(old?.[name as keyof typeof old]),
  );
  return changed.length === 0 ? null : { changed: changed.map(([name]) => name), ...Object.fromEntries(changed) };
}

async function findAccount(db: SqlQueries, idOrName: string): Promise<Account | null> {
  return (await getAccount(db, idOrName)) ?? (await accountNamed(db, idOrName));
}

async function getAccount(db: SqlQueries, accountId: string): Promise<Account | null> {
  const row = await db.get("select * from accounts where id = ?1", decodeId(accountId));
  return row === undefined ? null : accountOf(row);
}

async function findOldestAccount(db: SqlQueries): Promise<Account | null> {
  const row = await db.get("select * from accounts order by id limit 1");
  return row === undefined ? null : accountOf(row);
}

async function accountNamed(db: SqlQueries, name: string): Promise<Account | null> {
  const row = await db.get("select * from accounts where name = ?1", name);
  return row === undefined ? null : accountOf(row);
}

async function requireAccount(tx: SqlTransaction, name: string): Promise<Account> {
  const account = await accountNamed(tx, name);
  if (account === null) throw new Error(`account ${name} does not exist`);
  return account;
}

import { decodeId } from "../../../domain/ids.ts";
import { maxPortalLinks, portalEndOf } from "../../../domain/portal-link.ts";
import type { PortalLink } from "../../../domain/portal-link.ts";
import type { PortalStore } from "../../../ports/stores/portal-store.ts";
import { isEnded } from "./ended-sessions.ts";
import { recordAudit } from "../audit/audit.ts";
import type { SqlQueries, SqlTransaction } from "../queries.ts";
import { listByIds } from "../reading/page.ts";
import { accountOf, flag, id, integer, integerOrNull, json, text, textOrNull } from "../rows.ts";
import type { Row } from "../rows.ts";
import { isoTime } from "../../../domain/events/payload.ts";

export const reads = { findPortalLink, listPortalLinks };
export const writes = { createPortalLink, revokePortalLink, usePortalLink };

const columns = "id, account_id, key_id, can, frame_ancestors, created_at, expires_at, used_at, revoked_at";

function portalLinkOf(row: Row): PortalLink {
  return {
    id: id(row, "ptl", "id"),
    accountId: id(row, "acc", "account_id"),
    keyId: id(row, "key", "key_id"),
    can: text(row, "can") as PortalLink["can"],
    frameAncestors: row["frame_ancestors"] === null ? [] : json(row, "frame_ancestors"),
    createdAtMs: integer(row, "created_at"),
    expiresAtMs: integer(row, "expires_at"),
    usedAtMs: integerOrNull(row, "used_at"),
    revokedAtMs: integerOrNull(row, "revoked_at"),
  };
}

/** Instances that create links at the same time may exceed the limit by some. */
export async function createPortalLink(
  tx: SqlTransaction,
  draft: Parameters<PortalStore["createPortalLink"]>[0],
): ReturnType<PortalStore["createPortalLink"]> {
  const { id: linkId, accountId, keyId, can, frameAncestors, tokenHash, expiresAtMs, by, nowMs } = draft;
  const last = await tx.get(
    `select l.id from portal_links l join api_keys k on k.id = l.key_id
     where l.account_id = ?1 and l.revoked_at is null and l.expires_at > ?2 and k.revoked_at is null order by l.id limit 1 offset ?3`,
    decodeId(accountId),
    nowMs,
    maxPortalLinks - 1,
  );
  if (last !== undefined) return { kind: "too_many" };
  await tx.run(
    `insert into portal_links (id, account_id, key_id, can, token_hash, frame_ancestors, created_at, expires_at)
     values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)`,
    decodeId(linkId),
    decodeId(accountId),
    decodeId(keyId),
    can,
    tokenHash,
    frameAncestors.length === 0 ? null : JSON.stringify(frameAncestors),
    nowMs,
    expiresAtMs,
  );
  const detail = { can, expires_at: isoTime(expiresAtMs), frame_ancestors: frameAncestors };
  await recordAudit(tx, by, { accountId, action: "portal_link.created", target: { kind: "portal_link", id: linkId }, detail, nowMs });
  return { kind: "created" };
}

function listPortalLinks(db: SqlQueries, query: Parameters<PortalStore["listPortalLinks"]>[0]): ReturnType<PortalStore["listPortalLinks"]> {
  return listByIds(db, `select ${columns} from portal_links`, "id", [["account_id = ?", decodeId(query.accountId)]], query, portalLinkOf);
}

/** An end that has come stays as it is. */
async function revokePortalLink(
  tx: SqlTransaction,
  { accountId, linkId, by, nowMs }: Parameters<PortalStore["revokePortalLink"]>[0],
): Promise<boolean> {
  const row = await tx.get(
    `select revoked_at, expires_at from portal_links where id = ?1 and account_id = ?2${tx.rowLock}`,
    decodeId(linkId),
    decodeId(accountId),
  );
  if (row === undefined) return false;
  if (row["revoked_at"] !== null || integer(row, "expires_at") <= nowMs) return true;
  await tx.run("update portal_links set revoked_at = ?2 where id = ?1", decodeId(linkId), nowMs);
  const target = { kind: "portal_link", id: linkId } as const;
  await recordAudit(tx, by, { accountId, action: "portal_link.revoked", target, detail: {}, nowMs });
  return true;
}

async function findPortalLink(db: SqlQueries, linkId: string, nowMs: number): ReturnType<PortalStore["findPortalLink"]> {
  const row = await db.get(
    `select l.*, ${isEnded("l.session_hash")} as is_ended, k.expires_at as key_expires_at, k.revoked_at as key_revoked_at from portal_links l join api_keys k on k.id = l.key_id where l.id = ?1`,
    decodeId(linkId),
  );
  if (row === undefined) return null;
  const account = await db.get("select * from accounts where id = ?1 and removed_at is null", integer(row, "account_id"));
  if (account === undefined) return null;
  const link = portalLinkOf(row);
  const key = { expiresAtMs: integerOrNull(row, "key_expires_at"), revokedAtMs: integerOrNull(row, "key_revoked_at") };
  return {
    link,
    account: accountOf(account),
    tokenHash: text(row, "token_hash"),
    // A user has signed out.
    sessionHash: flag(row, "is_ended") ? null : textOrNull(row, "session_hash"),
    end: portalEndOf(link, key, nowMs),
  };
}

async function usePortalLink(
  tx: SqlTransaction,
  { linkId, accountId, sessionHash, nowMs }: Parameters<PortalStore["usePortalLink"]>[0],
): Promise<boolean> {
  const changed = await tx.run(
    "update portal_links set used_at = ?3, session_hash = ?4 where id = ?1 and account_id = ?2 and used_at is null and revoked_at is null and expires_at > ?3",
    decodeId(linkId),
    decodeId(accountId),
    nowMs,
    sessionHash,
  );
  return changed > 0;
}

/** Ends the links of an account or of a key that live, of which there are at most `maxPortalLinks`. */
export async function endLinksOf(tx: SqlTransaction, owner: "account_id" | "key_id", ownerKey: number, nowMs: number): Promise<void> {
  await tx.run(
    `update portal_links set revoked_at = ?2 where ${owner} = ?1 and revoked_at is null and expires_at > ?2
       and exists (select 1 from api_keys k where k.id = portal_links.key_id and k.revoked_at is null)`,
    ownerKey,
    nowMs,
  );
}

/** Condition that some link has ended long enough ago. `?1` is the time before which it must have ended. */
export const hasOldLinks = "exists (select 1 from portal_links where coalesce(revoked_at, expires_at) < ?1)";

/** Deletes up to `limit` links that ended before the time. */
export async function deleteOldLinks(
  tx: SqlTransaction,
  { beforeMs, limit }: { readonly beforeMs: number; readonly limit: number },
): Promise<number> {
  return tx.run(
    "delete from portal_links where id in (select id from portal_links where coalesce(revoked_at, expires_at) < ?1 order by coalesce(revoked_at, expires_at) limit ?2)",
    beforeMs,
    limit,
  );
}

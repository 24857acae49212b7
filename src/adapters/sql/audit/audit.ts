import { maxAuditRows } from "../../../domain/audit.ts";
import type { Actor, AuditEntry } from "../../../domain/audit.ts";
import { leastKeyAt, newId, decodeId } from "../../../domain/ids.ts";
import type { AuditFilter, AuditRow, AuditStore } from "../../../ports/stores/audit-store.ts";
import type { SqlQueries, SqlTransaction } from "../queries.ts";
import { listByIds } from "../reading/page.ts";
import type { Condition } from "../reading/page.ts";
import { id, idOrNull, integer, keyOrNull, text, textOrNull } from "../rows.ts";
import type { Row } from "../rows.ts";

export const reads = { listAllAudit, listAudit };

/**
 * Writes the row of a change in the transaction of the change. Both statements are sent at once, so that SQLite has run them when this
 * returns. The counter is the last row that a transaction locks, so that no two wait for each other in a circle.
 */
export function recordAudit(tx: SqlTransaction, by: Actor | null, entry: AuditEntry): Promise<unknown> | undefined {
  if (by === null) return undefined;
  const { accountId, action, target, detail, nowMs } = entry;
  return Promise.all([
    tx.run(
      `insert into audit (id, account_id, at, action, target_kind, target_id, actor_kind, actor_id, actor_name, address, forwarded_for, detail)
       values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)`,
      decodeId(newId("aud", nowMs)),
      keyOrNull(accountId),
      nowMs,
      action,
      target.kind,
      target.id,
      by.kind,
      by.id,
      by.name,
      by.address,
      by.forwardedFor,
      JSON.stringify(detail),
    ),
    accountId === null
      ? null
      : tx.run(
          "insert into audit_counts (account_id, n) values (?1, 1) on conflict (account_id) do update set n = audit_counts.n + 1",
          decodeId(accountId),
        ),
  ]);
}

async function listAudit(db: SqlQueries, query: Parameters<AuditStore["listAudit"]>[0]): ReturnType<AuditStore["listAudit"]> {
  const conditions = [["account_id = ?", decodeId(query.accountId)], ...(await conditionsOf(db, query))] as const;
  return listByIds(db, "select * from audit", "id", conditions, query, auditRowOf);
}

async function listAllAudit(db: SqlQueries, query: Parameters<AuditStore["listAllAudit"]>[0]): ReturnType<AuditStore["listAllAudit"]> {
  return listByIds(db, "select * from audit", "id", [["id >= ?", 0], ...(await conditionsOf(db, query))], query, auditRowOf);
}

async function conditionsOf(db: SqlQueries, { action, sinceMs, untilMs }: AuditFilter): Promise<readonly Condition[]> {
  return [
    ["action = ?", action],
    // Keys may be ahead of the clock and never behind it. Both conditions on them only bound what is read.
    ["id >= ?", sinceMs === null ? null : leastKeyAt(sinceMs)],
    ["id < ?", untilMs === null ? null : leastKeyAt(untilMs + (1 + (await mostAheadS(db))) * 1000)],
    ["at >= ?", sinceMs],
    ["at <= ?", untilMs],
  ];
}

/**
 * Returns by how many whole seconds a key is ahead of the time of its row at most. It is a few seconds, or the step by which the
 * clock was once set back.
 */
async function mostAheadS(db: SqlQueries): Promise<number> {
  // As the index on it has it.
  const ahead = "id / 8388608 - (at - 1577836800000) / 1000";
  const row = await db.get(`select ${ahead} as ahead from audit order by ${ahead} desc limit 1`);
  return row === undefined ? 0 : integer(row, "ahead");
}

function auditRowOf(row: Row): AuditRow {
  return {
    id: id(row, "aud", "id"),
    atMs: integer(row, "at"),
    accountId: idOrNull(row, "acc", "account_id"),
    action: text(row, "action") as AuditRow["action"],
    target: { kind: text(row, "target_kind") as AuditRow["target"]["kind"], id: text(row, "target_id") },
    actor: {
      kind: text(row, "actor_kind") as Actor["kind"],
      id: textOrNull(row, "actor_id"),
      name: textOrNull(row, "actor_name"),
      address: textOrNull(row, "address"),
      forwardedFor: textOrNull(row, "forwarded_for"),
    },
    detail: text(row, "detail"),
  };
}

/** Condition that some row is from before the time `?1`, or an account has too many. */
export const hasOldAudit = `exists (select 1 from audit where at < ?1) or exists (select 1 from audit_counts where n > ${maxAuditRows})`;

/** Deletes up to `limit` rows that are too old, or are beyond the newest of their account. Returns their number. */
export async function deleteOldAudit(
  tx: SqlTransaction,
  { beforeMs, limit }: { readonly beforeMs: number; readonly limit: number },
): Promise<number> {
  const old = await tx.all(
    "delete from audit where id in (select id from audit where at < ?1 order by at limit ?2) returning account_id",
    beforeMs,
    limit,
  );
  const beyond = await tx.get(`select account_id, n - ${maxAuditRows} as beyond from audit_counts where n > ${maxAuditRows} limit 1`);
  const more =
    beyond === undefined || old.length > 0
      ? []
      : await tx.all(
          "delete from audit where id in (select id from audit where account_id = ?1 order by id limit ?2) returning account_id",
          integer(beyond, "account_id"),
          Math.min(integer(beyond, "beyond"), limit),
        );
  const counts = Map.groupBy([...old, ...more], (row) => row["account_id"] as number | null);
  for (const [accountKey, rows] of [...counts].toSorted(([a], [b]) => (a ?? 0) - (b ?? 0)))
    if (accountKey !== null) await tx.run("update audit_counts set n = n - ?2 where account_id = ?1", accountKey, rows.length);
  return old.length + more.length;
}

import { decodeId } from "../../../domain/ids.ts";
import { maxEndedSessions } from "../../../ports/stores/session-store.ts";
import type { SessionStore } from "../../../ports/stores/session-store.ts";
import type { SqlQueries, SqlTransaction } from "../queries.ts";

export const reads = { isSessionEnded };
export const writes = { endSession };

/** SQL condition: a user has signed out of the session with this hash. */
export const isEnded = (hash: string) => `exists (select 1 from ended_sessions e where e.hash = ${hash})`;

async function endSession(
  tx: SqlTransaction,
  { sessionHash, keyId, expiresAtMs }: Parameters<SessionStore["endSession"]>[0],
): Promise<void> {
  const keyKey = decodeId(keyId);
  await tx.run(
    "insert into ended_sessions (hash, key_id, expires_at) values (?1, ?2, ?3) on conflict (hash) do nothing",
    sessionHash,
    keyKey,
    expiresAtMs,
  );
  await tx.run(
    `delete from ended_sessions where key_id = ?1 and expires_at <
       (select expires_at from ended_sessions where key_id = ?1 order by expires_at desc limit 1 offset ${maxEndedSessions - 1})`,
    keyKey,
  );
}

async function isSessionEnded(db: SqlQueries, sessionHash: string): Promise<boolean> {
  return (await db.get("select 1 as ended from ended_sessions where hash = ?1", sessionHash)) !== undefined;
}

/** Condition that some session would have expired. `?1` is the present time. */
export const hasExpiredSessions = "exists (select 1 from ended_sessions where expires_at <= ?1)";

/** Deletes up to `limit` sessions that would have expired. */
export async function deleteExpiredSessions(
  tx: SqlTransaction,
  { nowMs, limit }: { readonly nowMs: number; readonly limit: number },
): Promise<number> {
  return tx.run(
    "delete from ended_sessions where hash in (select hash from ended_sessions where expires_at <= ?1 order by expires_at limit ?2)",
    nowMs,
    limit,
  );
}

import { decodeId } from "../../../domain/ids.ts";
import type {
  AnswerDraft,
  ClaimableStore,
  IdempotencyClaim,
  IdempotencyStore,
  NoRoom,
  OtherRequest,
  StoredAnswer,
} from "../../../ports/stores/idempotency-store.ts";
import type { SqlQueries, SqlTransaction } from "../queries.ts";
import { blob, idOrNull, integer } from "../rows.ts";

export const writes = { completeAnswer };

/** Watches in one statement, so that answers of all sizes share two statements. */
const watchesAtOnce = 100;

/** Inserts a stored answer, replacing an expired one with the same id. */
export async function insertStoredAnswer(
  tx: SqlTransaction,
  claim: IdempotencyClaim,
  { sealed, deliveryId, watchIds }: AnswerDraft,
): Promise<void> {
  await tx.run(
    `insert into stored_answers (id, account_id, request_hash, sealed, delivery_id, expires_at, own_room) values (?1, ?2, ?3, ?4, ?5, ?6, ?7)
     on conflict (id) do update set request_hash = excluded.request_hash, sealed = excluded.sealed, delivery_id = excluded.delivery_id,
       expires_at = excluded.expires_at`,
    claim.id,
    decodeId(claim.accountId),
    claim.requestHash,
    sealed,
    deliveryId === null ? null : decodeId(deliveryId),
    claim.expiresAtMs,
    claim.hasOwnRoom,
  );
  for (let at = 0; at < watchIds.length;) {
    const count = watchIds.length - at < watchesAtOnce ? 1 : watchesAtOnce;
    const rows = Array.from({ length: count }, (_, index) => `(?${index + 2}, ?1)`).join(", ");
    const keys = watchIds.slice(at, at + count).map((watchId) => decodeId(watchId));
    await tx.run(`insert into stored_answer_watches (watch_id, answer_id) values ${rows} on conflict do nothing`, claim.id, ...keys);
    at += count;
  }
}

/** Deletes the stored answers that show a watch, because it is purged. Their keys are free again. */
export async function deleteAnswersOf(tx: SqlTransaction, watchKey: number): Promise<void> {
  await tx.run("delete from stored_answers where id in (select answer_id from stored_answer_watches where watch_id = ?1)", watchKey);
}

/** Stores the final answer of a test whose attempt was recorded. */
async function completeAnswer(tx: SqlTransaction, { id, sealed }: Parameters<IdempotencyStore["completeAnswer"]>[0]): Promise<void> {
  await tx.run("update stored_answers set sealed = ?1, delivery_id = null where id = ?2 and delivery_id is not null", sealed, id);
}

/** Expired answers that a request deletes when its account has no room; retention deletes the others. */
const maxDeleted = 200;

/** SQL by which a store finds and counts stored answers. */
export type StoredAnswerTables = {
  /** SQL expression over the delivery `d` and the tables of `joins`; null if no live process makes the attempt of the delivery. */
  readonly lease: string;
  readonly joins: string;
  /** Lock of a selected row that keeps others from deleting it; empty for a store with one writer. */
  readonly keyLock: string;
  /** Reads the counted bytes of an account, the changes of the open transaction included. */
  readonly readStoredBytes: (db: SqlQueries, accountKey: number) => Promise<number>;
};

/** Returns the read of a stored answer that has not expired, and the check of the room that the account has for another. */
export function storedAnswersIn({ lease, joins, keyLock, readStoredBytes }: StoredAnswerTables) {
  const reads = {
    async findStoredAnswer(db: SqlQueries, claim: IdempotencyClaim): Promise<StoredAnswer | OtherRequest | null> {
      // The sealed answer of another request is not read, because a client may ask for a mismatch any number of times.
      const row = await db.get(
        `select case when a.request_hash = ?3 then a.sealed end as sealed, a.delivery_id, ${lease} as lease
         from stored_answers a left join deliveries d on d.id = a.delivery_id ${joins} where a.id = ?1 and a.expires_at > ?2`,
        claim.id,
        claim.nowMs,
        claim.requestHash,
      );
      if (row === undefined) return null;
      if (row["sealed"] === null) return { kind: "other_request" };
      const deliveryId = idOrNull(row, "dlv", "delivery_id");
      const delivery = deliveryId === null ? null : { id: deliveryId, leased: row["lease"] !== null };
      return { kind: "stored", sealed: blob(row, "sealed"), delivery };
    },
  };
  const writes = {
    /** Returns whether the watch is there, and keeps it there to the end of the transaction. */
    async keepAnswer(tx: SqlTransaction, { accountId, watchId }: Parameters<ClaimableStore["keepAnswer"]>[0]): Promise<boolean> {
      if (watchId === null) return true;
      const watch = await tx.get(
        `select 1 as found from watches where id = ?1 and account_id = ?2 and status <> 'purged' ${keyLock}`,
        decodeId(watchId),
        decodeId(accountId),
      );
      return watch !== undefined;
    },
  };
  return {
    reads,
    writes,
    /** Returns `null` if the account has room for another answer. Deletes expired ones first, because retention may be behind. */
    async checkRoom(tx: SqlTransaction, { accountId, nowMs, maxStoredBytes, hasOwnRoom }: IdempotencyClaim): Promise<NoRoom | null> {
      if (maxStoredBytes === 0 || hasOwnRoom) return null;
      const accountKey = decodeId(accountId);
      if ((await readStoredBytes(tx, accountKey)) < maxStoredBytes) return null;
      await tx.run(
        `delete from stored_answers where id in (
           select id from stored_answers where account_id = ?1 and expires_at <= ?2 order by expires_at limit ?3)`,
        accountKey,
        nowMs,
        maxDeleted,
      );
      if ((await readStoredBytes(tx, accountKey)) < maxStoredBytes) return null;
      const oldest = await tx.get("select expires_at from stored_answers where account_id = ?1 order by expires_at limit 1", accountKey);
      return { kind: "no_room", retryAfterMs: oldest === undefined ? 0 : Math.max(0, integer(oldest, "expires_at") - nowMs) };
    },
  };
}

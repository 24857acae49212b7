import { decodeId } from "../../../domain/ids.ts";
import type { AnswerDraft, IdempotencyClaim, IdempotencyStore, StoredAnswer } from "../../../ports/stores/idempotency-store.ts";
import type { SqlQueries, SqlTransaction } from "../queries.ts";
import { blob, idOrNull } from "../rows.ts";

export const writes = { completeAnswer };

/** Inserts a stored answer, replacing an expired one with the same id. */
export async function insertStoredAnswer(tx: SqlTransaction, claim: IdempotencyClaim, { sealed, deliveryId }: AnswerDraft): Promise<void> {
  await tx.run(
    `insert into stored_answers (id, account_id, sealed, delivery_id, expires_at) values (?1, ?2, ?3, ?4, ?5)
     on conflict (id) do update set sealed = excluded.sealed, delivery_id = excluded.delivery_id, expires_at = excluded.expires_at`,
    claim.id,
    decodeId(claim.accountId),
    sealed,
    deliveryId === null ? null : decodeId(deliveryId),
    claim.expiresAtMs,
  );
}

/** Stores the final answer of a test whose attempt was recorded. */
async function completeAnswer(tx: SqlTransaction, { id, sealed }: Parameters<IdempotencyStore["completeAnswer"]>[0]): Promise<void> {
  await tx.run("update stored_answers set sealed = ?1, delivery_id = null where id = ?2 and delivery_id is not null", sealed, id);
}

/**
 * Returns the read that finds a stored answer that has not expired. `lease` is an SQL expression over the delivery `d` and
 * the tables of `joins`. It is null if no live process makes the attempt of the delivery.
 */
export function answerReads(lease: string, joins: string) {
  return {
    async findStoredAnswer(db: SqlQueries, claim: IdempotencyClaim): Promise<StoredAnswer | null> {
      const row = await db.get(
        `select a.sealed, a.delivery_id, ${lease} as lease from stored_answers a left join deliveries d on d.id = a.delivery_id ${joins}
         where a.id = ?1 and a.expires_at > ?2`,
        claim.id,
        claim.nowMs,
      );
      if (row === undefined) return null;
      const deliveryId = idOrNull(row, "dlv", "delivery_id");
      const delivery = deliveryId === null ? null : { id: deliveryId, leased: row["lease"] !== null };
      return { kind: "stored", sealed: blob(row, "sealed"), delivery };
    },
  };
}

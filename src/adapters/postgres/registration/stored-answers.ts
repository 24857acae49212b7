import type { AnswerDraft, IdempotencyClaim, IdempotencyStore, StoredAnswer } from "../../../ports/stores/idempotency-store.ts";
import { blob, textOrNull } from "../../sql/rows.ts";
import type { Queries } from "../connection/queries.ts";
import type { Transaction } from "../connection/transaction.ts";

export const reads = { findStoredAnswer };
export const writes = { completeAnswer };

/** Finds a stored answer that has not expired. Its delivery counts as leased only while the row of the leasing instance exists. */
export async function findStoredAnswer(db: Queries, claim: IdempotencyClaim): Promise<StoredAnswer | null> {
  const row = await db.get(
    `select a.sealed, a.delivery_id, i.token from stored_answers a left join deliveries d on d.id = a.delivery_id and d.lease_token is not null
     left join instances i on i.token = d.lease_owner where a.id = $1 and a.expires_at > $2`,
    claim.id,
    claim.nowMs,
  );
  if (row === undefined) return null;
  const deliveryId = textOrNull(row, "delivery_id");
  return {
    kind: "stored",
    sealed: blob(row, "sealed"),
    delivery: deliveryId === null ? null : { id: deliveryId, leased: row["token"] !== null },
  };
}

/** Inserts a stored answer, replacing an expired one with the same id. */
export async function insertStoredAnswer(db: Queries, claim: IdempotencyClaim, { sealed, deliveryId }: AnswerDraft): Promise<void> {
  await db.run(
    `insert into stored_answers (id, account_id, sealed, delivery_id, expires_at) values ($1, $2, $3, $4, $5)
     on conflict (id) do update set sealed = excluded.sealed, delivery_id = excluded.delivery_id, expires_at = excluded.expires_at`,
    claim.id,
    claim.accountId,
    sealed,
    deliveryId,
    claim.expiresAtMs,
  );
}

/** Stores the final answer of a test whose attempt was recorded. */
async function completeAnswer(tx: Transaction, { id, sealed }: Parameters<IdempotencyStore["completeAnswer"]>[0]): Promise<void> {
  await tx.run("update stored_answers set sealed = $1, delivery_id = null where id = $2 and delivery_id is not null", sealed, id);
}

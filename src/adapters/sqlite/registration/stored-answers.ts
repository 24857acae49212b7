import type { AnswerDraft, IdempotencyClaim, IdempotencyStore, StoredAnswer } from "../../../ports/stores/idempotency-store.ts";
import { blob } from "../../sql/rows.ts";
import type { Database } from "../connection/database.ts";

export const reads = { findStoredAnswer };
export const writes = { completeAnswer };

export function findStoredAnswer(db: Database, claim: IdempotencyClaim): StoredAnswer | null {
  const row = db.get(
    `select a.sealed, a.delivery_id, d.lease_token from stored_answers a left join deliveries d on d.id = a.delivery_id
     where a.id = ? and a.expires_at > ?`,
    claim.id,
    claim.nowMs,
  );
  if (row === undefined) return null;
  const deliveryId = row["delivery_id"];
  const delivery = typeof deliveryId === "string" ? { id: deliveryId, leased: row["lease_token"] !== null } : null;
  return { kind: "stored", sealed: blob(row, "sealed"), delivery };
}

/** Inserts an answer, in place of an expired one. */
export function insertStoredAnswer(db: Database, claim: IdempotencyClaim, { sealed, deliveryId }: AnswerDraft): void {
  db.run(
    "insert or replace into stored_answers (id, account_id, sealed, delivery_id, expires_at) values (?, ?, ?, ?, ?)",
    claim.id,
    claim.accountId,
    sealed,
    deliveryId,
    claim.expiresAtMs,
  );
}

function completeAnswer(db: Database, { id, sealed }: Parameters<IdempotencyStore["completeAnswer"]>[0]): void {
  db.run("update stored_answers set sealed = ?, delivery_id = null where id = ? and delivery_id is not null", sealed, id);
}

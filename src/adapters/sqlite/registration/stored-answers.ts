import type { AnswerDraft, IdempotencyClaim, StoredAnswer } from "../../../ports/stores/idempotency-store.ts";
import type { Database } from "../connection/database.ts";
import { blob } from "../../sql/rows.ts";

export function readStoredAnswer(db: Database, claim: IdempotencyClaim): StoredAnswer | null {
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

/** In place of one that no longer counts. */
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

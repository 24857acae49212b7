import type { IdempotencyStore } from "../../../ports/stores/idempotency-store.ts";
import type { Transaction } from "../connection/transaction.ts";

export async function completeAnswer(tx: Transaction, { id, sealed }: Parameters<IdempotencyStore["completeAnswer"]>[0]): Promise<void> {
  await tx.run("update stored_answers set sealed = $1, delivery_id = null where id = $2 and delivery_id is not null", sealed, id);
}

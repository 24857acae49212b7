import type { IdempotencyStore } from "../../../ports/stores/idempotency-store.ts";
import type { Database } from "../connection/database.ts";

export function completeAnswer(db: Database, { id, sealed }: Parameters<IdempotencyStore["completeAnswer"]>[0]): void {
  db.run("update stored_answers set sealed = ?, delivery_id = null where id = ? and delivery_id is not null", sealed, id);
}

import type { IdempotencyClaim, StoredAnswer } from "../../../ports/stores/idempotency-store.ts";
import type { Queries } from "../connection/queries.ts";
import { readStoredAnswer } from "./stored-answers.ts";

export async function findStoredAnswer(db: Queries, claim: IdempotencyClaim): Promise<StoredAnswer | null> {
  return readStoredAnswer(db, claim);
}

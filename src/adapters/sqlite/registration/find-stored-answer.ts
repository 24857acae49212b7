import type { IdempotencyClaim, StoredAnswer } from "../../../ports/stores/idempotency-store.ts";
import type { Database } from "../connection/database.ts";
import { readStoredAnswer } from "./stored-answers.ts";

export function findStoredAnswer(db: Database, claim: IdempotencyClaim): StoredAnswer | null {
  return readStoredAnswer(db, claim);
}

import type { AnswerDraft, IdempotencyClaim } from "../../../ports/stores/idempotency-store.ts";
import type { ClaimedValue, DraftResult } from "../writer-thread/group.ts";
import { bytes, flag, kinds, list, nullable, number, object, text } from "./shape.ts";
import { textOrNull } from "./value-shapes.ts";

export const claim = object<IdempotencyClaim>({ id: text, accountId: text, nowMs: number, expiresAtMs: number });

export const storedAnswerFields = {
  sealed: bytes,
  delivery: nullable(object<{ readonly id: string; readonly leased: boolean }>({ id: text, leased: flag })),
};

/** Answer of a claimed operation. */
export const claimedValue = kinds<ClaimedValue>({ ran: {}, running: {}, stored: storedAnswerFields });

export const draftResults = list(
  kinds<DraftResult>({
    draft: { draft: nullable(object<AnswerDraft>({ sealed: bytes, deliveryId: textOrNull })) },
    failed: { message: text },
  }),
);

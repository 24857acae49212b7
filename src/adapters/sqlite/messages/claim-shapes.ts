import type { AnswerDraft, IdempotencyClaim } from "../../../ports/stores/idempotency-store.ts";
import type { ClaimedValue, DraftResult } from "../writer-thread/group.ts";
import { bytes, flag, kinds, list, nullable, number, object, text } from "./shape.ts";
import { textOrNull, texts } from "./value-shapes.ts";

export const claim = object<IdempotencyClaim>({
  id: text,
  accountId: text,
  requestHash: text,
  nowMs: number,
  expiresAtMs: number,
  maxStoredBytes: number,
  hasOwnRoom: flag,
});

export const storedAnswerFields = {
  sealed: bytes,
  delivery: nullable(object<{ readonly id: string; readonly leased: boolean }>({ id: text, leased: flag })),
};

/** Answer of a claimed operation. */
export const claimedValue = kinds<ClaimedValue>({
  ran: {},
  running: {},
  stored: storedAnswerFields,
  other_request: {},
  no_room: { retryAfterMs: number },
});

export const draftResults = list(
  kinds<DraftResult>({
    draft: { draft: nullable(object<AnswerDraft>({ sealed: bytes, deliveryId: textOrNull, watchIds: texts })) },
    failed: { message: text },
  }),
);

import type { Watch } from "../../../domain/calls/watch.ts";
import type { Delivery } from "../../../domain/deliveries/delivery.ts";
import type { Endpoint } from "../../../domain/deliveries/endpoint.ts";
import type { Account, ApiKeyView } from "../../../ports/stores/account-store.ts";
import type {
  DeliveryView,
  EndpointSummary,
  EndpointView,
  EventView,
  HookView,
  Page,
  WatchView,
} from "../../../ports/stores/read-store.ts";
import type { StoredSource } from "../../../ports/stores/source-store.ts";
import { bytes, flag, list, map, nullable, number, object, text, word } from "./shape.ts";
import type { Shape } from "./shape.ts";
import { attemptError, callStatus, endpointFields, event, numberOrNull, textOrNull, texts, deliveryStateFields } from "./value-shapes.ts";
import { filter, sourceDraftFields } from "./draft-shapes.ts";

/** Shapes of what requests are shown. */

const endpointSummary = object<EndpointSummary>({
  id: text,
  state: word(),
  reason: nullable(word()),
  format: word(),
  pausedUntilMs: numberOrNull,
});

export const watchView = object<WatchView>({
  watch: object<Watch>({
    id: text,
    accountId: text,
    sourceName: text,
    callId: text,
    callSid: text,
    endpointId: textOrNull,
    callbackUrl: textOrNull,
    status: word(),
    endReason: nullable(word()),
    filter,
    metadata: map(text),
    sequence: number,
    createdAtMs: number,
    expiresAtMs: number,
    endedAtMs: numberOrNull,
  }),
  call: callStatus,
  endpoint: nullable(endpointSummary),
  pendingDeliveries: number,
});

export const eventView = object<EventView>({
  event,
  deliveries: list(
    object<EventView["deliveries"][number]>({
      id: text,
      endpointId: text,
      status: word(),
      attemptCount: number,
      nextAttemptAtMs: numberOrNull,
    }),
  ),
});

export const deliveryView = object<DeliveryView>({
  delivery: object<Delivery>({
    ...deliveryStateFields,
    accountId: text,
    eventId: text,
    eventType: text,
    watchId: textOrNull,
    callSid: textOrNull,
    endpointId: text,
    createdAtMs: number,
  }),
  endpoint: endpointSummary,
  dueAtMs: numberOrNull,
  blockedBySequence: numberOrNull,
  leased: flag,
  lastAttempt: nullable(
    object<NonNullable<DeliveryView["lastAttempt"]>>({ statusCode: numberOrNull, error: attemptError, startedAtMs: number }),
  ),
});

export const endpointView = object<EndpointView>({
  endpoint: object<Endpoint>(endpointFields),
  hostPausedUntilMs: numberOrNull,
  hostPausedSinceMs: numberOrNull,
  hookIds: texts,
  backlog: number,
  oldestDueAtMs: numberOrNull,
});

export const hookView = object<HookView>({
  id: text,
  accountId: text,
  url: text,
  filter,
  endpoint: endpointSummary,
  createdAtMs: number,
});

export const account = object<Account>({
  id: text,
  name: text,
  usesDefaultSource: flag,
  sealedSigningKey: bytes,
  publicKey: text,
  createdAtMs: number,
});

export const apiKeyView = object<ApiKeyView>({ id: text, name: text, createdAtMs: number, revokedAtMs: numberOrNull });

export const storedSource = object<StoredSource>({ ...sourceDraftFields, revision: number, createdAtMs: number, updatedAtMs: number });

export function pageOf<T>(shape: Shape<T>): Shape<Page<T>> {
  return object<Page<T>>({ data: list(shape), nextCursor: textOrNull });
}

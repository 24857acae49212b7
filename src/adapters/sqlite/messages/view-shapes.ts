import type { Placing, PlacingRights } from "../../../domain/calls/placing.ts";
import type { Watch } from "../../../domain/calls/watch.ts";
import type { Delivery } from "../../../domain/deliveries/delivery.ts";
import type { Endpoint } from "../../../domain/deliveries/endpoint.ts";
import type { PortalLink } from "../../../domain/portal-link.ts";
import type { AuditRow } from "../../../ports/stores/audit-store.ts";
import type { KeyScope } from "../../../domain/secrets/key-scopes.ts";
import type { Account, AccountOverview, ApiKey, ApiKeyView } from "../../../ports/stores/account-store.ts";
import type {
  DeliveryView,
  EndpointSummary,
  EndpointView,
  EventView,
  HookView,
  Page,
  TimelineEvent,
  WatchView,
} from "../../../ports/stores/read-store.ts";
import type { StoredSource } from "../../../ports/stores/source-store.ts";
import { bytes, flag, list, map, nullable, number, object, text, word } from "./shape.ts";
import type { Shape } from "./shape.ts";
import {
  actor,
  attemptError,
  callStatus,
  endpointFields,
  event,
  numberOrNull,
  textOrNull,
  texts,
  deliveryStateFields,
} from "./value-shapes.ts";
import { filter, sourceDraftFields } from "./draft-shapes.ts";

/** Shapes of what requests are shown. */

const endpointSummary = object<EndpointSummary>({
  id: text,
  state: word(),
  reason: nullable(word()),
  format: word(),
  request: textOrNull,
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
    trace: textOrNull,
    sequence: number,
    createdAtMs: number,
    expiresAtMs: number,
    endedAtMs: numberOrNull,
  }),
  call: callStatus,
  endpoint: nullable(endpointSummary),
  pendingDeliveries: number,
});

const eventViewFields = {
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
};
export const eventView = object<EventView>(eventViewFields);
export const timelineEvent = object<TimelineEvent>({ ...eventViewFields, deliveryCount: number });

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
  endpointUrl: text,
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
  placing: object<PlacingRights>({ mayPlace: flag, prefixes: nullable(texts), perMinute: number, perDay: number }),
  disabledAtMs: numberOrNull,
  disablings: number,
  createdAtMs: number,
});

export const accountOverview = object<AccountOverview>({
  id: text,
  name: text,
  disabledAtMs: numberOrNull,
  activeWatches: number,
  endpoints: number,
  hooks: number,
  pollsPerMinute: number,
  placedToday: number,
  lastRequestAtMs: numberOrNull,
});

export const placing = object<Placing>({
  id: text,
  accountId: text,
  sourceName: text,
  idempotencyKey: text,
  callHash: text,
  state: word(),
  callSid: textOrNull,
  watchId: textOrNull,
  metadata: map(text),
  createdAtMs: number,
});

const apiKeyFields = { id: text, accountId: textOrNull, name: text, scopes: list(word<KeyScope>()), expiresAtMs: numberOrNull };
export const apiKey = object<ApiKey>(apiKeyFields);
export const apiKeyView = object<ApiKeyView>({
  ...apiKeyFields,
  createdAtMs: number,
  lastUsedAtMs: numberOrNull,
  revokedAtMs: numberOrNull,
});

export const portalLink = object<PortalLink>({
  id: text,
  accountId: text,
  keyId: text,
  can: word(),
  frameAncestors: texts,
  createdAtMs: number,
  expiresAtMs: number,
  usedAtMs: numberOrNull,
  revokedAtMs: numberOrNull,
});

export const auditRow = object<AuditRow>({
  id: text,
  atMs: number,
  accountId: textOrNull,
  action: word(),
  target: object<AuditRow["target"]>({ kind: word(), id: text }),
  actor,
  detail: text,
});

export const storedSource = object<StoredSource>({
  ...sourceDraftFields,
  revision: number,
  removedAtMs: numberOrNull,
  createdAtMs: number,
  updatedAtMs: number,
});

export function pageOf<T>(shape: Shape<T>): Shape<Page<T>> {
  return object<Page<T>>({ data: list(shape), nextCursor: textOrNull });
}

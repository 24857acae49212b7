import type { CallChange, CallStatus, CreationSpan } from "../../../domain/calls/call.ts";
import type { Watch } from "../../../domain/calls/watch.ts";
import type { Attempt, AttemptOutcome } from "../../../domain/deliveries/attempt.ts";
import type { Delivery, DeliveryState } from "../../../domain/deliveries/delivery.ts";
import type { Endpoint, EndpointHealth } from "../../../domain/deliveries/endpoint.ts";
import type { EventFilter } from "../../../domain/events/event-filter.ts";
import type { OperationalEventData, RingbackEvent, WatchEventData } from "../../../domain/events/event.ts";
import type { Quotas } from "../../../domain/quotas.ts";
import type { Account, ApiKeyDraft, ApiKeyView } from "../../../ports/stores/account-store.ts";
import type { Notice, WatchedCall } from "../../../ports/stores/call-store.ts";
import type {
  DeliveryView,
  EndpointSummary,
  EndpointView,
  EventView,
  HookView,
  Page,
  WatchView,
} from "../../../ports/stores/read-store.ts";
import type { EndpointDraft, SecretDraft, WatchDraft } from "../../../ports/stores/registration-store.ts";
import type { SealedSecret, SendJob, SendTarget } from "../../../ports/stores/send-job.ts";
import type { StoredSource } from "../../../ports/stores/source-store.ts";
import { bytes, either, flag, kinds, list, map, nullable, number, object, part, shared, text, word } from "./shape.ts";
import type { Shape } from "./shape.ts";

/** Shapes that several operations of the store have in their arguments or results. */

export const texts = list(text);
export const textOrNull = nullable(text);
export const numberOrNull = nullable(number);

export const callStatus = object<CallStatus>({
  status: textOrNull,
  reason: text,
  terminal: flag,
  observedAtMs: numberOrNull,
  lastGoodPollAtMs: numberOrNull,
});

export const callChange = kinds<CallChange>({
  status: { status: text, reason: text, terminal: flag, observedAfterMs: numberOrNull },
  reason: { reason: text },
  end: { endReason: word(), spares: nullable(object<CreationSpan>({ afterMs: number, untilMs: number })) },
  expire: {},
});

export const watchedCall = object<WatchedCall>({
  callId: text,
  sourceName: text,
  callSid: text,
  scope: text,
  accountId: text,
  status: callStatus,
  version: number,
  createdAtMs: number,
  oldestWatchAtMs: number,
  youngestWatchAtMs: number,
  earliestDeadlineAtMs: number,
  needsFirstEvent: flag,
});

const notice = object<Notice>({ accountId: text, watchId: textOrNull, callSid: textOrNull, sequence: numberOrNull, eventType: text });
export const notices = list(notice);

const watchEventData = object<WatchEventData>({
  watchId: textOrNull,
  callSid: textOrNull,
  source: textOrNull,
  status: textOrNull,
  previousStatus: textOrNull,
  reason: textOrNull,
  terminal: nullable(flag),
  sequence: numberOrNull,
  observedAtMs: numberOrNull,
  observedAfterMs: numberOrNull,
  metadata: map(text),
});

const operationalEventData = object<OperationalEventData>({
  endpointId: textOrNull,
  deliveryId: textOrNull,
  hookIds: nullable(texts),
  source: textOrNull,
  state: textOrNull,
  reason: textOrNull,
  observedAtMs: number,
});

/** A shape does not tie the type of an event to its data. */
export const event = object<Pick<RingbackEvent, keyof RingbackEvent>>({
  id: text,
  accountId: text,
  timestampMs: number,
  type: word(),
  data: either("watchId", watchEventData, operationalEventData),
}) as Shape<unknown> as Shape<RingbackEvent>;

export const endpointHealth = object<EndpointHealth>({
  consecutiveFailures: number,
  failingSinceMs: numberOrNull,
  lastSuccessAtMs: numberOrNull,
  pausedUntilMs: numberOrNull,
  pausedSinceMs: numberOrNull,
  consecutivePauses: number,
  pauseReason: nullable(word()),
});

const endpointFields = {
  id: text,
  accountId: text,
  url: text,
  origin: text,
  format: word<Endpoint["format"]>(),
  headerNames: texts,
  signatures: list(word<Endpoint["signatures"][number]>()),
  late: word<Endpoint["late"]>(),
  maxInFlight: numberOrNull,
  maxPerSecond: numberOrNull,
  state: word<Endpoint["state"]>(),
  reason: nullable(word<NonNullable<Endpoint["reason"]>>()),
  sinceMs: numberOrNull,
  health: endpointHealth,
  createdAtMs: number,
};

const sealedSecret = object<SealedSecret>({ id: text, sealed: bytes, validUntilMs: numberOrNull });

export const sendTarget = shared(
  object<SendTarget>({
    ...endpointFields,
    sealedHeaders: nullable(bytes),
    secrets: list(sealedSecret),
    hostPausedUntilMs: numberOrNull,
    hostConsecutivePauses: number,
  }),
);

export const job = object<SendJob>({
  deliveryId: text,
  leaseToken: number,
  attemptNumber: number,
  stepsSpent: number,
  event,
  target: sendTarget,
  targetAsOfMs: number,
  createdAtMs: number,
  mode: word(),
});
export const jobs = list(job);

const deliveryStateFields = {
  id: text,
  status: word<DeliveryState["status"]>(),
  attemptCount: number,
  stepsSpent: number,
  nextAttemptAtMs: numberOrNull,
  firstAttemptAtMs: numberOrNull,
  firstFailedAtMs: numberOrNull,
  settledAtMs: numberOrNull,
};
export const deliveryState = object<DeliveryState>(deliveryStateFields);

export const attemptOutcome = kinds<AttemptOutcome>({
  answered: { statusCode: number, retryAfter: textOrNull, excerpt: text },
  failed: { code: word(), detail: text, statusCode: numberOrNull, permanent: flag },
});

const attemptError = nullable(object<NonNullable<Attempt["error"]>>({ code: word(), detail: text }));
export const attempt = object<Attempt>({
  number,
  startedAtMs: number,
  durationMs: number,
  statusCode: numberOrNull,
  error: attemptError,
  responseExcerpt: textOrNull,
  decision: word(),
});

const filter = object<EventFilter>({ names: nullable(texts) });
const quotas = part<Quotas>({ maxActiveWatches: number, maxEndpoints: number, maxHooks: number });

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

export const secretDraft = object<SecretDraft>({ id: text, sealed: bytes, fingerprints: texts });
export const sealedHeaders = object<NonNullable<EndpointDraft["headers"]>>({ names: texts, sealed: bytes, fingerprints: texts });

const endpointDraft = object<EndpointDraft>({
  id: text,
  url: text,
  origin: text,
  format: nullable(word()),
  defaultFormat: word(),
  late: word(),
  headers: nullable(sealedHeaders),
  givenSecret: nullable(secretDraft),
  generatedSecret: secretDraft,
});

export const watchDraft = object<WatchDraft>({
  id: text,
  accountId: text,
  sourceName: text,
  scope: text,
  callSid: text,
  callId: text,
  endpoint: nullable(endpointDraft),
  filter,
  metadata: map(text),
  expiresAtMs: number,
  nowMs: number,
  polledAtMs: numberOrNull,
  restartsEndedCall: flag,
  quotas,
});
export const hookDraftFields = { id: text, accountId: text, endpoint: endpointDraft, filter, nowMs: number, quotas };

export const account = object<Account>({
  id: text,
  name: text,
  usesDefaultSource: flag,
  sealedSigningKey: bytes,
  publicKey: text,
  createdAtMs: number,
});

export const apiKeyDraft = object<ApiKeyDraft>({ id: text, accountId: text, name: text, fingerprints: texts, nowMs: number });
export const apiKeyView = object<ApiKeyView>({ id: text, name: text, createdAtMs: number, revokedAtMs: numberOrNull });

export const sourceDraftFields = {
  id: text,
  name: text,
  accountId: textOrNull,
  sealedCredential: bytes,
  kind: text,
  baseUrl: text,
  maxPollsPerSecond: number,
  agentId: textOrNull,
  environment: textOrNull,
};
export const storedSource = object<StoredSource>({ ...sourceDraftFields, revision: number, createdAtMs: number, updatedAtMs: number });

export function pageOf<T>(shape: Shape<T>): Shape<Page<T>> {
  return object<Page<T>>({ data: list(shape), nextCursor: textOrNull });
}

import type { Actor } from "../../../domain/audit.ts";
import type { CallChange, CallStatus, CreationSpan } from "../../../domain/calls/call.ts";
import type { Attempt, AttemptOutcome } from "../../../domain/deliveries/attempt.ts";
import type { DeliveryState } from "../../../domain/deliveries/delivery.ts";
import type { Endpoint, EndpointHealth } from "../../../domain/deliveries/endpoint.ts";
import type { OperationalEventData, RingbackEvent, WatchEventData } from "../../../domain/events/event.ts";
import type { Notice, WatchedCall } from "../../../ports/stores/call-store.ts";
import type { StatusAges } from "../../../ports/stores/freshness-store.ts";
import type { SealedSecret, SendJob, SendTarget } from "../../../ports/stores/send-job.ts";
import { bytes, either, flag, kinds, list, map, nullable, number, object, shared, text, word } from "./shape.ts";
import type { Shape } from "./shape.ts";

/** Shapes of what the engine polls, sends and records. */

export const texts = list(text);

export const textOrNull = nullable(text);

export const numberOrNull = nullable(number);

export const statusAges = object<StatusAges>({ sourceName: text, status: text, changes: number, ages: bytes });

export const callStatus = object<CallStatus>({
  status: textOrNull,
  reason: text,
  details: textOrNull,
  terminal: flag,
  observedAtMs: numberOrNull,
  lastGoodPollAtMs: numberOrNull,
});

export const callChange = kinds<CallChange>({
  status: { status: text, reason: text, details: textOrNull, terminal: flag, observedAfterMs: numberOrNull },
  note: { reason: text, details: textOrNull },
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
  isUnfinished: flag,
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
  details: textOrNull,
});

const operationalEventData = object<OperationalEventData>({
  endpointId: textOrNull,
  deliveryId: textOrNull,
  hookIds: nullable(texts),
  source: textOrNull,
  state: textOrNull,
  reason: textOrNull,
  placingId: textOrNull,
  keyId: textOrNull,
  subjectWatchId: textOrNull,
  subjectCallSid: textOrNull,
  metadata: nullable(map(text)),
  idempotencyKey: textOrNull,
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
  recoveries: number,
  recoveredAtMs: numberOrNull,
  isReportedFailing: flag,
});

export const endpointFields = {
  id: text,
  accountId: text,
  url: text,
  origin: text,
  format: word<Endpoint["format"]>(),
  request: textOrNull,
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
  trace: textOrNull,
  stepsSpent: number,
  event,
  target: sendTarget,
  targetAsOfMs: number,
  createdAtMs: number,
  mode: word(),
});

export const jobs = list(job);

export const deliveryStateFields = {
  id: text,
  status: word<DeliveryState["status"]>(),
  attemptCount: number,
  stepsSpent: number,
  nextAttemptAtMs: numberOrNull,
  scheduledAtMs: numberOrNull,
  lastRecovery: numberOrNull,
  firstAttemptAtMs: numberOrNull,
  firstFailedAtMs: numberOrNull,
  settledAtMs: numberOrNull,
};

export const deliveryState = object<DeliveryState>(deliveryStateFields);

export const attemptOutcome = kinds<AttemptOutcome>({
  answered: { statusCode: number, retryAfter: textOrNull, excerpt: text },
  failed: { code: word(), detail: text, statusCode: numberOrNull, permanent: flag },
});

export const attemptError = nullable(object<NonNullable<Attempt["error"]>>({ code: word(), detail: text }));

export const attempt = object<Attempt>({
  number,
  startedAtMs: number,
  durationMs: number,
  statusCode: numberOrNull,
  error: attemptError,
  responseExcerpt: textOrNull,
  decision: word(),
});

/** Requester of a change. */
export const actor = object<Actor>({ kind: word(), id: textOrNull, name: textOrNull, address: textOrNull, forwardedFor: textOrNull });
export const by = nullable(actor);

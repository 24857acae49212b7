/** Types of events about a call or a watch. Each such event belongs to one watch and has a sequence. */
export const watchEventTypes = [
  "call.queued",
  "call.calling",
  "call.success",
  "call.failure",
  "call.other",
  "watch.not_found",
  "watch.lost",
  "watch.rejected",
  "watch.expired",
] as const;
export const operationalEventTypes = [
  "endpoint.failing",
  "endpoint.recovered",
  "endpoint.disabled",
  "delivery.exhausted",
  "source.suspended",
  "source.resumed",
  "call.overdue",
  "call.unknown",
  "key.expiring",
] as const;
export const eventTypes = [...watchEventTypes, ...operationalEventTypes, "endpoint.test"] as const;
export const eventGroups = ["call.*", "watch.*", "terminal"] as const;

export type WatchEventType = (typeof watchEventTypes)[number];
export type OperationalEventType = (typeof operationalEventTypes)[number];
export type EventType = (typeof eventTypes)[number];

/**
 * `data` of every event about a watch. An `endpoint.test` has the same fields, all `null`, with empty metadata. Times are
 * epoch milliseconds here and ISO 8601 on the wire.
 */
export type WatchEventData = {
  readonly watchId: string | null;
  readonly callSid: string | null;
  readonly source: string | null;
  readonly status: string | null;
  readonly previousStatus: string | null;
  readonly reason: string | null;
  readonly terminal: boolean | null;
  readonly sequence: number | null;
  readonly observedAtMs: number | null;
  readonly observedAfterMs: number | null;
  readonly metadata: Readonly<Record<string, string>>;
  /** JSON object of the details that the source reads; `null` if it reads none. */
  readonly details: string | null;
};

/** `data` of operational events. A field is `null` if it does not apply. */
export type OperationalEventData = {
  readonly endpointId: string | null;
  readonly deliveryId: string | null;
  /** Hooks of an endpoint that was disabled. */
  readonly hookIds: readonly string[] | null;
  readonly source: string | null;
  readonly state: string | null;
  readonly reason: string | null;
  readonly placingId: string | null;
  readonly keyId: string | null;
  /** Watch and call that the event is about. The data of an event of a watch has `watchId` and `callSid` instead, which distinguishes the two. */
  readonly subjectWatchId: string | null;
  readonly subjectCallSid: string | null;
  /** Metadata and key of the placing. */
  readonly metadata: Readonly<Record<string, string>> | null;
  readonly idempotencyKey: string | null;
  readonly observedAtMs: number;
};

/** Facts of an operational event that is about no endpoint, delivery, hook, source, placing, key, watch or call. */
export const noSubject = {
  endpointId: null,
  deliveryId: null,
  hookIds: null,
  source: null,
  placingId: null,
  keyId: null,
  subjectWatchId: null,
  subjectCallSid: null,
  metadata: null,
  idempotencyKey: null,
} as const;

/** An immutable fact. `id` is the `webhook-id` of every attempt to every endpoint. */
export type RingbackEvent = {
  readonly id: string;
  readonly accountId: string;
  readonly timestampMs: number;
} & (
  | { readonly type: WatchEventType | "endpoint.test"; readonly data: WatchEventData }
  | { readonly type: OperationalEventType; readonly data: OperationalEventData }
);

/** Returns the event of `POST /v1/endpoints/{id}/test`: every key of a watch's event, all `null`. */
export function endpointTestEvent(id: string, accountId: string, nowMs: number): RingbackEvent {
  const data: WatchEventData = {
    watchId: null,
    callSid: null,
    source: null,
    status: null,
    previousStatus: null,
    reason: null,
    terminal: null,
    sequence: null,
    observedAtMs: null,
    observedAfterMs: null,
    metadata: {},
    details: null,
  };
  return { id, accountId, timestampMs: nowMs, type: "endpoint.test", data };
}

/** Returns the id of the watch that an event is about; `null` for operational events and tests. */
export function watchIdOf({ data }: RingbackEvent): string | null {
  return "watchId" in data ? data.watchId : null;
}

/** Whether `earlier` belongs to the same watch as `event` and precedes it in sequence. */
export function precedes(earlier: RingbackEvent, event: RingbackEvent): boolean {
  if (!("sequence" in earlier.data) || !("sequence" in event.data) || event.data.watchId === null) return false;
  return earlier.data.watchId === event.data.watchId && (earlier.data.sequence ?? 0) < (event.data.sequence ?? 0);
}

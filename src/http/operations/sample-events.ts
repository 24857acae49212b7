import { noSubject, operationalEventTypes, watchEventTypes } from "../../domain/events/event.ts";
import type { OperationalEventData, OperationalEventType, RingbackEvent, WatchEventType } from "../../domain/events/event.ts";
import { hookMatches, selectTypes } from "../../domain/events/event-filter.ts";
import type { EventFilter } from "../../domain/events/event-filter.ts";
import { eventId } from "../../domain/ids.ts";
import type { ReadStore } from "../../ports/stores/read-store.ts";

const preferred: readonly WatchEventType[] = ["call.success", "call.failure", "call.calling", "call.queued"];
const statuses: Readonly<Record<string, string>> = {
  "call.success": "success",
  "call.failure": "failure",
  "call.calling": "calling",
  "call.queued": "queued",
  "call.other": "on-hold",
};
const endpointId = "ep_01SAMPLE000000000000000000";
const operationalFacts: Readonly<Record<OperationalEventType, Partial<OperationalEventData> & { state: string; reason: string | null }>> = {
  "endpoint.failing": { endpointId, state: "failing", reason: "status" },
  "endpoint.recovered": { endpointId, state: "recovered", reason: null },
  "endpoint.disabled": { endpointId, state: "disabled", reason: "failing" },
  "delivery.exhausted": {
    endpointId,
    deliveryId: "dlv_01SAMPLE000000000000000000",
    subjectWatchId: "wch_1kw4kg04000",
    subjectCallSid: "OUT-550e8400-e29b-41d4-a716-446655440000",
    state: "exhausted",
    reason: "status",
  },
  "source.suspended": { source: "default", state: "suspended", reason: "unauthorized" },
  "call.unknown": {
    source: "default",
    state: "unknown",
    reason: null,
    placingId: "plc_1kw4kg04000",
    metadata: { lead_id: "00Q5g000" },
    idempotencyKey: "lead-00Q5g000",
  },
  "call.overdue": {
    source: "default",
    state: "overdue",
    reason: null,
    subjectWatchId: "wch_1kw4kg04000",
    subjectCallSid: "OUT-550e8400-e29b-41d4-a716-446655440000",
  },
  "key.expiring": { keyId: "key_1kw4kg04000", state: "expiring", reason: null },
  "source.resumed": { source: "default", state: "ok", reason: null },
};
const accountId = "acc_sample";
const watchId = "wch_01SAMPLE000000000000000000";

/** Returns synthetic events with the live keys, newest first, for an account without matching events. */
export function sampleEvents(filter: EventFilter, nowMs: number): readonly RingbackEvent[] {
  const types = [...preferred, ...watchEventTypes.filter((type) => !preferred.includes(type)), ...operationalEventTypes];
  const wanted = types.filter((type) => hookMatches(filter, sampleEvent(type, nowMs)));
  return wanted.map((type, index) => sampleEvent(type, nowMs - index * 60_000));
}

/**
 * Returns what an account may try its settings with: recent events, or synthetic ones if it has none. The newest success and
 * the newest failure come first, then the others, newest first.
 */
export async function eventsToTry(
  store: Pick<ReadStore, "listRecentEvents">,
  accountId: string,
  filter: EventFilter,
  limit: number,
  nowMs: number,
): Promise<readonly RingbackEvent[]> {
  const newestOf = (type: string) => store.listRecentEvents({ accountId, types: [type], orTerminal: false, limit: 1 });
  const [recent, ...outcomes] = await Promise.all([
    store.listRecentEvents({ accountId, ...selectTypes(filter), ...watchTypesOf(filter), limit }),
    ...outcomeTypesOf(filter).map(newestOf),
  ]);
  const events = recent.length > 0 ? ledBy(outcomes.flat(), recent) : sampleEvents(filter, nowMs);
  return events.slice(0, limit);
}

/** Operational events have one sample each. */
function watchTypesOf(filter: EventFilter): { readonly types: readonly string[] | null } {
  const { types } = selectTypes(filter);
  return { types: types?.filter((type) => !isOperational(type)) ?? null };
}

const outcomeTypes = ["call.success", "call.failure"] as const;

/** Returns the types of a call's outcome that a filter selects. */
function outcomeTypesOf(filter: EventFilter): readonly WatchEventType[] {
  return outcomeTypes.filter((type) => hookMatches(filter, sampleEvent(type, 0)));
}

/** Puts some events before others, so that a tool that reads only the first ones sees every field of an outcome. */
function ledBy(first: readonly RingbackEvent[], others: readonly RingbackEvent[]): readonly RingbackEvent[] {
  return [...new Map([...first, ...others].map((event) => [event.id, event])).values()];
}

function sampleEvent(type: WatchEventType | OperationalEventType, atMs: number): RingbackEvent {
  return isOperational(type) ? operationalSample(type, atMs) : watchSample(type, atMs);
}

function watchSample(type: WatchEventType, atMs: number): RingbackEvent {
  const status = statuses[type] ?? "calling";
  const reason = type === "call.failure" ? "call queueing: max timeout limit exceeded" : "";
  return {
    id: eventId(watchId, 2, type, status, reason),
    accountId,
    timestampMs: atMs,
    type,
    data: {
      watchId,
      callSid: "OUT-550e8400-e29b-41d4-a716-446655440000",
      source: "default",
      status,
      previousStatus: type.startsWith("watch.") ? status : "queued",
      reason,
      terminal: isEnding(type),
      sequence: 2,
      observedAtMs: atMs,
      observedAfterMs: atMs - 2000,
      metadata: { lead_id: "00Q5g000" },
      details: null,
    },
  };
}

function operationalSample(type: OperationalEventType, atMs: number): RingbackEvent {
  const data: OperationalEventData = { ...noSubject, ...operationalFacts[type], observedAtMs: atMs };
  return { id: eventId(watchId, 0, type, data.state, ""), accountId, timestampMs: atMs, type, data };
}

function isEnding(type: WatchEventType): boolean {
  return type === "call.success" || type === "call.failure" || type.startsWith("watch.");
}

function isOperational(type: string): type is OperationalEventType {
  return Object.hasOwn(operationalFacts, type);
}

import { noSubject } from "../../src/domain/events/event.ts";
import type {
  OperationalEventData,
  OperationalEventType,
  RingbackEvent,
  WatchEventData,
  WatchEventType,
} from "../../src/domain/events/event.ts";

type WatchEvent = Extract<RingbackEvent, { type: WatchEventType | "endpoint.test" }>;

const observedAtMs = Date.UTC(2026, 10, 23, 12, 0, 3, 120);

/** A call that failed after it was being called, with one metadata pair. */
export function callEvent(data: Partial<WatchEventData> = {}, over: Partial<Omit<WatchEvent, "data">> = {}): WatchEvent {
  return {
    id: "evt_1",
    accountId: "acc_1",
    timestampMs: observedAtMs,
    type: "call.failure",
    ...over,
    data: {
      watchId: "wch_1",
      callSid: "OUT-1",
      source: "default",
      status: "failure",
      previousStatus: "calling",
      reason: "call queueing: max timeout limit exceeded",
      terminal: true,
      sequence: 3,
      observedAtMs,
      observedAfterMs: observedAtMs - 2020,
      metadata: { lead_id: "00Q5g000" },
      details: null,
      ...data,
    },
  };
}

/** As `POST /v1/endpoints/{id}/test` makes it: every key, nothing known. */
export const testEvent: WatchEvent = {
  id: "evt_2",
  accountId: "acc_1",
  timestampMs: observedAtMs,
  type: "endpoint.test",
  data: {
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
  },
};

export function operationalEvent(type: OperationalEventType, data: Partial<OperationalEventData> = {}): RingbackEvent {
  return {
    id: "evt_3",
    accountId: "acc_1",
    timestampMs: observedAtMs,
    type,
    data: { ...noSubject, state: null, reason: null, observedAtMs, ...data },
  };
}

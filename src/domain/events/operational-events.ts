import type { AttemptResult } from "../deliveries/delivery-decision.ts";
import { noSubject, watchEventTypes } from "./event.ts";
import type { EventType, OperationalEventData, OperationalEventType } from "./event.ts";
import { hookMatches, hookNamesOperational } from "./event-filter.ts";
import type { EventFilter } from "./event-filter.ts";

/** An operational event before it has an id and recipients. */
export type OperationalEventDraft = {
  readonly type: OperationalEventType;
  readonly accountId: string;
  /** Endpoint that the event is about. It does not receive the event. `null` if the event is about no endpoint. */
  readonly exceptEndpointId: string | null;
  readonly nowMs: number;
  readonly data: OperationalEventData;
};

/** Delivery of an attempt, as an operational event names it. */
export type AttemptedDelivery = {
  readonly accountId: string;
  readonly endpointId: string;
  readonly eventType: EventType;
  /** Watch and call of its event; `null` for a test. */
  readonly watchId: string | null;
  readonly callSid: string | null;
  /** Hooks of its endpoint. */
  readonly hookIds: readonly string[];
};

/** Returns the operational events of an attempt. */
export function operationalEventsAfter(about: AttemptedDelivery, result: AttemptResult, nowMs: number): readonly OperationalEventDraft[] {
  const { accountId, endpointId, eventType } = about;
  if (!causesOperationalEvents(eventType)) return [];
  const common = { accountId, exceptEndpointId: endpointId, nowMs };
  const drafts: OperationalEventDraft[] = [];
  if (result.healthReport !== "none") {
    const state = result.healthReport;
    const reason = result.attempt.error?.code ?? null;
    drafts.push({ type: `endpoint.${state}`, ...common, data: { ...noSubject, endpointId, state, reason, observedAtMs: nowMs } });
  }
  if (result.attempt.decision === "exhausted") {
    const reason = result.attempt.error?.code ?? null;
    const subject = {
      ...noSubject,
      endpointId,
      deliveryId: result.delivery.id,
      subjectWatchId: about.watchId,
      subjectCallSid: about.callSid,
    };
    const data = { ...subject, state: "exhausted", reason, observedAtMs: nowMs };
    drafts.push({ type: "delivery.exhausted", ...common, data });
  }
  if (result.endpointChange !== "none") {
    const { reason } = result.endpoint;
    const data = { ...noSubject, endpointId, hookIds: about.hookIds, state: "disabled", reason, observedAtMs: nowMs };
    drafts.push({ type: "endpoint.disabled", ...common, data });
  }
  return drafts;
}

/** Whether the attempts of an event of this type may cause operational events. */
export function causesOperationalEvents(eventType: string): boolean {
  return (watchEventTypes as readonly string[]).includes(eventType);
}

const typesOfAttempts = ["endpoint.failing", "endpoint.recovered", "delivery.exhausted", "endpoint.disabled"] as const;

/** Whether a hook may receive events of `operationalEventsAfter`. */
export function subscribesToAttempts(filter: EventFilter): boolean {
  return typesOfAttempts.some((type) => hookNamesOperational(filter, type));
}

/** A watch whose call has not ended for long. */
export type OverdueWatch = {
  readonly accountId: string;
  readonly watchId: string;
  readonly callSid: string;
  readonly source: string;
};

/** Returns the event of a watch whose call has not ended for long. */
export function callOverdue({ accountId, watchId, callSid, source }: OverdueWatch, nowMs: number): OperationalEventDraft {
  const subject = { ...noSubject, subjectWatchId: watchId, subjectCallSid: callSid, source };
  const data = { ...subject, state: "overdue", reason: null, observedAtMs: nowMs };
  return { type: "call.overdue", accountId, exceptEndpointId: null, nowMs, data };
}

/** Returns the endpoints of the hooks that name the type of an event, each once. `hooks` are those of the account. */
export function recipientsOf(
  { type, exceptEndpointId, data }: Pick<OperationalEventDraft, "type" | "exceptEndpointId" | "data">,
  hooks: readonly { readonly endpointId: string; readonly filter: EventFilter }[],
): readonly string[] {
  const subscribed = hooks.filter(({ endpointId, filter }) => endpointId !== exceptEndpointId && hookMatches(filter, { type, data }));
  return [...new Set(subscribed.map(({ endpointId }) => endpointId))];
}

/** Returns the event of a key that ends soon. */
export function keyExpiring(accountId: string, keyId: string, nowMs: number): OperationalEventDraft {
  const data = { ...noSubject, keyId, state: "expiring", reason: null, observedAtMs: nowMs };
  return { type: "key.expiring", accountId, exceptEndpointId: null, nowMs, data };
}

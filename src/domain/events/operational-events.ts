import type { AttemptResult } from "../deliveries/delivery-decision.ts";
import { noSubject } from "./event.ts";
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

/**
 * Returns the operational events of an attempt. Deliveries of operational events and of tests cause none, so that such
 * events never chain.
 */
export function operationalEventsAfter(
  about: { readonly accountId: string; readonly endpointId: string; readonly eventType: EventType; readonly hookIds: readonly string[] },
  result: AttemptResult,
  nowMs: number,
): readonly OperationalEventDraft[] {
  const { accountId, endpointId, eventType } = about;
  if (!eventType.startsWith("call.") && !eventType.startsWith("watch.")) return [];
  const common = { accountId, exceptEndpointId: endpointId, nowMs };
  const drafts: OperationalEventDraft[] = [];
  if (result.attempt.decision === "exhausted") {
    const reason = result.attempt.error?.code ?? null;
    const data = { ...noSubject, endpointId, deliveryId: result.delivery.id, state: "exhausted", reason, observedAtMs: nowMs };
    drafts.push({ type: "delivery.exhausted", ...common, data });
  }
  if (result.endpointChange !== "none") {
    const { reason } = result.endpoint;
    const data = { ...noSubject, endpointId, hookIds: about.hookIds, state: "disabled", reason, observedAtMs: nowMs };
    drafts.push({ type: "endpoint.disabled", ...common, data });
  }
  return drafts;
}

/** Whether a hook may receive events of `operationalEventsAfter`. */
export function subscribesToAttempts(filter: EventFilter): boolean {
  return (["delivery.exhausted", "endpoint.disabled"] as const).some((type) => hookNamesOperational(filter, type));
}

/** Returns the endpoints of the hooks that name the type of an event, each once. `hooks` are those of the account. */
export function recipientsOf(
  { type, exceptEndpointId, data }: Pick<OperationalEventDraft, "type" | "exceptEndpointId" | "data">,
  hooks: readonly { readonly endpointId: string; readonly filter: EventFilter }[],
): readonly string[] {
  const subscribed = hooks.filter(({ endpointId, filter }) => endpointId !== exceptEndpointId && hookMatches(filter, { type, data }));
  return [...new Set(subscribed.map(({ endpointId }) => endpointId))];
}

import type { AttemptResult } from "../deliveries/delivery-decision.ts";
import type { EventType, OperationalEventData, OperationalEventType } from "./event.ts";
import { hookMatches, hookNamesOperational } from "./event-filter.ts";
import type { EventFilter } from "./event-filter.ts";

/** Something an account's hooks may hear of. */
export type OperationalEventDraft = {
  readonly type: OperationalEventType;
  readonly accountId: string;
  /** The endpoint it is about is not told. */
  readonly exceptEndpointId: string | null;
  readonly nowMs: number;
  readonly data: OperationalEventData;
};

/** What an attempt comes to besides its delivery. News about a delivery of news would never end, so there is none. */
export function operationalEventsAfter(
  about: { readonly accountId: string; readonly endpointId: string; readonly eventType: EventType; readonly hookIds: readonly string[] },
  result: AttemptResult,
  nowMs: number,
): readonly OperationalEventDraft[] {
  const { accountId, endpointId, eventType } = about;
  if (!eventType.startsWith("call.") && !eventType.startsWith("watch.")) return [];
  const told = { accountId, exceptEndpointId: endpointId, nowMs };
  const news: OperationalEventDraft[] = [];
  if (result.attempt.decision === "exhausted") {
    const reason = result.attempt.error?.code ?? null;
    const data = {
      endpointId,
      deliveryId: result.delivery.id,
      hookIds: null,
      source: null,
      state: "exhausted",
      reason,
      observedAtMs: nowMs,
    };
    news.push({ type: "delivery.exhausted", ...told, data });
  }
  if (result.endpointChange !== "none") {
    const data = {
      endpointId,
      deliveryId: null,
      hookIds: about.hookIds,
      source: null,
      state: "disabled",
      reason: result.endpoint.reason,
      observedAtMs: nowMs,
    };
    news.push({ type: "endpoint.disabled", ...told, data });
  }
  return news;
}

/** Whether a hook may be told what `operationalEventsAfter` finds. */
export function subscribesToAttempts(filter: EventFilter): boolean {
  return (["delivery.exhausted", "endpoint.disabled"] as const).some((type) => hookNamesOperational(filter, type));
}

/** The endpoints of those of the account's hooks that name the type, each once. */
export function recipientsOf(
  { type, exceptEndpointId, data }: Pick<OperationalEventDraft, "type" | "exceptEndpointId" | "data">,
  hooks: readonly { readonly endpointId: string; readonly filter: EventFilter }[],
): readonly string[] {
  const wanting = hooks.filter(({ endpointId, filter }) => endpointId !== exceptEndpointId && hookMatches(filter, { type, data }));
  return [...new Set(wanting.map(({ endpointId }) => endpointId))];
}

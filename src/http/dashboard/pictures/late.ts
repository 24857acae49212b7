import { deliveryJson } from "../../schemas/json.ts";
import { failureText } from "../hints.ts";
import type { Timeline } from "../pages/watch-timeline.ts";

/** Something that came later than it could have, and why. */
export type Late = {
  readonly subject: string;
  /** `null` if the change itself was seen late. */
  readonly deliveryId: string | null;
  readonly url: string | null;
  /** Status of the delivery, or `slowed`. */
  readonly state: string;
  readonly lateMs: number;
  /** A sentence of the service. */
  readonly reason: string;
  /** Error of the newest failed attempt, which may quote text from outside. `null` without one. */
  readonly failure: string | null;
};

/** A webhook arrives within this time if its first attempt delivers it. */
const deliveredWithinMs = 5000;
/** A source that is neither slowed nor suspended is polled at least this often. */
const seenWithinMs = 10_000;

/** Returns what was late of the events of a watch, in their order. */
export function lateOf({ events, detailById }: Timeline, nowMs: number): readonly Late[] {
  return events.flatMap(({ event, deliveries }) => {
    const seen = "watchId" in event.data ? seenLate(event.type, event.data.observedAtMs, event.data.observedAfterMs) : [];
    const delivered = deliveries.flatMap(({ id, status }): readonly Late[] => {
      const detail = detailById.get(id);
      if (detail === undefined || status === "canceled") return [];
      const { settledAtMs } = detail.view.delivery;
      const lateMs = (settledAtMs ?? nowMs) - event.timestampMs;
      if (lateMs <= deliveredWithinMs && (status === "delivered" || status === "pending")) return [];
      return [
        {
          subject: event.type,
          deliveryId: id,
          url: detail.view.endpointUrl,
          state: status,
          lateMs,
          reason: deliveryJson(detail.view, nowMs).explain,
          failure: failureOf(detail),
        },
      ];
    });
    return [...seen, ...delivered];
  });
}

function seenLate(type: string, observedAtMs: number | null, observedAfterMs: number | null): readonly Late[] {
  if (observedAtMs === null || observedAfterMs === null || observedAtMs - observedAfterMs <= seenWithinMs) return [];
  return [
    {
      subject: type,
      deliveryId: null,
      url: null,
      state: "slowed",
      lateMs: observedAtMs - observedAfterMs,
      reason: "that long the call was not polled, or no poll had an answer, so that it may have changed any time within",
      failure: null,
    },
  ];
}

function failureOf({ attempts }: NonNullable<ReturnType<Timeline["detailById"]["get"]>>): string | null {
  const failed = attempts.findLast(({ error }) => error !== null)?.error ?? null;
  return failed === null ? null : failureText(failed);
}

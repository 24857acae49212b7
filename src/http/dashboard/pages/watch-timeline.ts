import { html } from "hono/html";
import type { Attempt } from "../../../domain/deliveries/attempt.ts";
import { isoTime } from "../../../domain/events/payload.ts";
import type { EventView, ReadStore, TimelineEvent } from "../../../ports/stores/read-store.ts";
import { attemptJson, deliveryJson } from "../../schemas/json.ts";
import { adviceOn } from "../hints.ts";
import { attemptLine } from "./attempts.ts";
import type { Html } from "../dashboard-env.ts";
import { badge, linkTo, longText, withCode } from "../elements.ts";
import { sentence, timeOf } from "../time.ts";

/** Number of events shown on a page. A watch has at most 50 events and an ending. */
const eventsPerPage = 60;
/** Number of deliveries that are shown, of an event at most and about of all events: an account may have a hundred hooks. */
const deliveriesOfEvent = 10;
const deliveriesInDetail = 24;
const attemptsShown = 3;

type DeliveryDetail = NonNullable<Awaited<ReturnType<ReadStore["getDelivery"]>>>;
export type Timeline = {
  readonly events: readonly TimelineEvent[];
  readonly detailById: ReadonlyMap<string, DeliveryDetail>;
  readonly nextCursor: string | null;
};

/** Reads the events of a watch with their first deliveries and attempts; `null` if the watch is unknown. */
export async function readTimeline(
  store: ReadStore,
  { accountId, watchId, cursor }: { readonly accountId: string; readonly watchId: string; readonly cursor: string | null },
): Promise<Timeline | null> {
  const events = await store.listTimeline({ accountId, watchId, limit: eventsPerPage, cursor, deliveriesOfEach: deliveriesOfEvent });
  if (events === null) return null;
  const ofEach = shownOfEach(events.data);
  const ids = events.data.flatMap(({ deliveries }) => deliveries.slice(0, ofEach).map(({ id }) => id)).slice(0, deliveriesInDetail);
  const found = await Promise.all(ids.map((id) => store.getDelivery(accountId, id)));
  const details = found.filter((detail) => detail !== null);
  return {
    events: events.data,
    detailById: new Map(details.map((detail) => [detail.view.delivery.id, detail])),
    nextCursor: events.nextCursor,
  };
}

/** Returns the number of deliveries that are shown of each event. */
function shownOfEach(events: readonly EventView[]): number {
  return Math.min(deliveriesOfEvent, Math.max(1, Math.floor(deliveriesInDetail / Math.max(1, events.length))));
}

export function timeline({ events, detailById }: Timeline, nowMs: number): Html {
  if (events.length === 0) return html`<p class="quiet">No event yet: no status of the call was seen.</p>`;
  return html`<ol class="cards">
    ${events.map((view) => eventItem(view, detailById, shownOfEach(events), nowMs))}
  </ol>`;
}

function eventItem(
  { event, deliveries, deliveryCount }: TimelineEvent,
  detailById: Timeline["detailById"],
  shown: number,
  nowMs: number,
): Html {
  const hidden = deliveryCount - Math.min(deliveries.length, shown);
  return html`<li>
    <div class="line">
      <h3>${event.type}</h3>
      ${timeOf(isoTime(event.timestampMs), nowMs)} ${factsOf(event)}
    </div>
    ${event.data.reason === null || event.data.reason === "" ? "" : html`<p>Reason: ${event.data.reason}</p>`}
    ${
      deliveries.length === 0
        ? html`<p class="quiet">
            No webhook was sent: no filter matches this event, or the call has no callback URL and no hook.
            <a href="/dashboard/hooks">Hooks and their filters</a>
          </p>`
        : html`<ul class="cards">
              ${deliveries.slice(0, shown).map((delivery) => deliveryItem(delivery, detailById.get(delivery.id) ?? null, nowMs))}
            </ul>
            ${hidden <= 0 ? "" : html`<p class="quiet">And ${hidden} more: ${linkTo("events", event.id, "the page of the event")} has them all.</p>`}`
    }
  </li>`;
}

/** Renders facts that only events of a call have: the sequence, and the time since the previous status was confirmed. */
function factsOf({ data }: EventView["event"]): Html | "" {
  if (!("watchId" in data)) return "";
  const happened =
    data.observedAfterMs === null || data.observedAtMs === null
      ? ""
      : html`<span class="quiet">changed within the ${Math.ceil((data.observedAtMs - data.observedAfterMs) / 1000)} s before</span>`;
  return html`<span class="quiet">no. ${data.sequence}</span> ${data.status === null ? "" : badge(data.status)} ${happened}`;
}

function deliveryItem(delivery: EventView["deliveries"][number], detail: DeliveryDetail | null, nowMs: number): Html {
  if (detail === null)
    return html`<li>
      <div class="line">${badge(delivery.status)} ${linkTo("deliveries", delivery.id)} ${delivery.attemptCount} attempts</div>
    </li>`;
  const json = deliveryJson(detail.view, nowMs);
  const shown = detail.attempts.slice(-attemptsShown);
  const hidden = detail.attempts.length - shown.length;
  const advice = delivery.status === "delivered" ? null : adviceOf(shown);
  return html`<li>
    <div class="line">
      ${badge(json.status)} <span>${sentence(json.explain, nowMs)}</span>
      <span class="quiet"
        >to ${linkTo("endpoints", json.endpoint_id, longText(detail.view.endpointUrl))} · ${linkTo("deliveries", json.id, "details")}</span
      >
    </div>
    ${hidden === 0 ? "" : html`<p class="quiet">${hidden} earlier attempts are on the page of the delivery.</p>`}
    ${shown.map((attempt) => attemptLine(attemptJson(attempt), nowMs))} ${advice === null ? "" : html`<p>${withCode(advice)}</p>`}
  </li>`;
}

function adviceOf(attempts: readonly Attempt[]): string | null {
  const last = attempts.at(-1);
  return last === undefined ? null : adviceOn(last);
}

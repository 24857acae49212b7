import { html } from "hono/html";
import type { Attempt } from "../../../domain/deliveries/attempt.ts";
import { isoTime } from "../../../domain/events/payload.ts";
import type { EventView, ReadStore } from "../../../ports/stores/read-store.ts";
import { attemptJson, deliveryJson } from "../../schemas/json.ts";
import { adviceOn } from "../hints.ts";
import { attemptLine } from "./attempts.ts";
import type { Html } from "../dashboard-env.ts";
import { urlsOf } from "./delivery-list.ts";
import { badge, linkTo, longText, withCode } from "../elements.ts";
import { sentence, timeOf } from "../time.ts";

/** Number of events shown on a page. A watch has at most 50 events and an ending. */
const eventsPerPage = 60;
/** Number of deliveries whose attempts are shown. Further deliveries are shown as links. */
const deliveriesInDetail = 60;
const attemptsShown = 3;

type DeliveryDetail = NonNullable<Awaited<ReturnType<ReadStore["getDelivery"]>>>;
export type Timeline = {
  readonly events: readonly EventView[];
  readonly detailById: ReadonlyMap<string, DeliveryDetail>;
  /** URLs of the endpoints of these deliveries. */
  readonly urlById: ReadonlyMap<string, string>;
  readonly nextCursor: string | null;
};

/** Reads the events of a watch with their deliveries and attempts; `null` if the watch is unknown. */
export async function readTimeline(
  store: ReadStore,
  { accountId, watchId, cursor }: { readonly accountId: string; readonly watchId: string; readonly cursor: string | null },
): Promise<Timeline | null> {
  const events = await store.listWatchEvents({ accountId, watchId, limit: eventsPerPage, cursor });
  if (events === null) return null;
  const ids = events.data.flatMap(({ deliveries }) => deliveries.map(({ id }) => id)).slice(0, deliveriesInDetail);
  const found = await Promise.all(ids.map((id) => store.getDelivery(accountId, id)));
  const details = found.filter((detail) => detail !== null);
  return {
    events: events.data,
    detailById: new Map(details.map((detail) => [detail.view.delivery.id, detail])),
    urlById: await urlsOf(
      store,
      accountId,
      details.map(({ view }) => view),
    ),
    nextCursor: events.nextCursor,
  };
}

export function timeline({ events, ...read }: Timeline, nowMs: number): Html {
  if (events.length === 0) return html`<p class="quiet">No event yet: no status of the call was seen.</p>`;
  return html`<ol class="cards">
    ${events.map((view) => eventItem(view, read, nowMs))}
  </ol>`;
}

function eventItem(
  { event, deliveries }: EventView,
  { detailById, urlById }: Pick<Timeline, "detailById" | "urlById">,
  nowMs: number,
): Html {
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
            ${deliveries.map((delivery) => deliveryItem(delivery, detailById.get(delivery.id) ?? null, urlById, nowMs))}
          </ul>`
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

function deliveryItem(
  delivery: EventView["deliveries"][number],
  detail: DeliveryDetail | null,
  urlById: ReadonlyMap<string, string>,
  nowMs: number,
): Html {
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
        >to ${linkTo("endpoints", json.endpoint_id, longText(urlById.get(json.endpoint_id) ?? json.endpoint_id))} ·
        ${linkTo("deliveries", json.id, "details")}</span
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

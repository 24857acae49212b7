import { deliveryStatuses } from "../../../domain/deliveries/delivery.ts";
import { z } from "@hono/zod-openapi";
import type { Hono } from "hono";
import { html } from "hono/html";
import type { DeliveryView } from "../../../ports/stores/read-store.ts";
import type { HttpDependencies } from "../../operations/dependencies.ts";
import { csvAnswer } from "../csv.ts";
import type { CsvList } from "../csv.ts";
import { deliveryJson } from "../../schemas/json.ts";
import type { DashboardEnv, Html } from "../dashboard-env.ts";
import { failureText } from "../hints.ts";
import { badge, csvLink, linkTo, longText, pager, selectOf, sidText, table } from "../elements.ts";
import { livePart } from "../live/live-part.ts";
import { livePath } from "../live/live-path.ts";
import { page } from "../page.ts";
import { choiceField, cursorField, idField, readParameters } from "../query.ts";
import { sentence, timeOf } from "../time.ts";

const path = "/dashboard/deliveries";
const querySchema = z.object({ status: choiceField(deliveryStatuses), endpoint_id: idField, watch_id: idField, cursor: cursorField });
const pageSize = 25;
const csvColumns = [
  "id",
  "event_id",
  "event_type",
  "watch_id",
  "call_sid",
  "endpoint_id",
  "status",
  "attempt_count",
  "last_attempt.started_at",
  "last_attempt.status_code",
  "last_attempt.error.code",
  "last_attempt.error.detail",
  "next_attempt_at",
  "explain",
  "created_at",
  "settled_at",
];

/** Page of deliveries, newest first. */
export function addDeliveryList(dashboard: Hono<DashboardEnv>, { store, clock }: HttpDependencies): void {
  dashboard.get("/deliveries", async (c) => {
    const { status, endpoint_id: endpointId, watch_id: watchId, cursor } = readParameters(c, querySchema);
    const accountId = c.get("account").id;
    const { data, nextCursor } = await store.listDeliveries({
      accountId,
      limit: pageSize,
      cursor: cursor ?? null,
      endpointId: endpointId ?? null,
      watchId: watchId ?? null,
      status: status ?? null,
    });
    return page(c, {
      title: "Deliveries",
      ...(cursor === undefined ? { live: livePath } : {}),
      body: html`<h1>Deliveries</h1>
        <form method="get" action="${path}" class="filter">
          <div>
            <label for="status">Status</label>
            ${selectOf("status", deliveryStatuses, status)}
          </div>
          <div>
            <label for="endpoint_id">Endpoint</label>
            <input id="endpoint_id" name="endpoint_id" value="${endpointId ?? ""}" placeholder="ep_…" size="30" maxlength="64" />
          </div>
          <div>
            <label for="watch_id">Watch</label>
            <input id="watch_id" name="watch_id" value="${watchId ?? ""}" placeholder="wch_…" size="30" maxlength="64" />
          </div>
          <button type="submit">Filter</button>
        </form>
        ${livePart("list", deliveryTable(data, clock.nowMs()))}
        ${pager(path, { status, endpoint_id: endpointId, watch_id: watchId }, { cursor, nextCursor })}
        ${csvLink(path, { status, endpoint_id: endpointId, watch_id: watchId })}`,
    });
  });

  dashboard.get("/deliveries.csv", (c) => {
    const { status, endpoint_id: endpointId, watch_id: watchId, cursor } = readParameters(c, querySchema);
    const filter = { accountId: c.get("account").id, endpointId: endpointId ?? null, watchId: watchId ?? null, status: status ?? null };
    const list: CsvList<DeliveryView> = {
      name: "deliveries",
      columns: csvColumns,
      read: (page) => store.listDeliveries({ ...page, ...filter }),
      json: (view) => deliveryJson(view, clock.nowMs()),
    };
    return csvAnswer(c, list, cursor ?? null);
  });
}

/** Renders deliveries. `withEndpoint`: whether each says where it goes, which the page of an endpoint does itself. */
export function deliveryTable(views: readonly DeliveryView[], nowMs: number, withEndpoint = true): Html {
  return table({
    caption: "Deliveries",
    columns: ["Event", "Status", "Explanation", "Call", "Attempts", "Created", ...(withEndpoint ? ["Endpoint"] : [])],
    rows: views.map((view) => {
      const delivery = deliveryJson(view, nowMs);
      const { call_sid: callSid, watch_id: watchId } = delivery;
      return [
        linkTo("deliveries", delivery.id, delivery.event_type),
        badge(delivery.status),
        explanation(delivery, nowMs),
        callSid === null || watchId === null ? null : linkTo("watches", watchId, sidText(callSid)),
        delivery.attempt_count,
        timeOf(delivery.created_at, nowMs),
        ...(withEndpoint ? [linkTo("endpoints", delivery.endpoint_id, longText(view.endpointUrl))] : []),
      ];
    }),
    empty: "No delivery matches.",
  });
}

/** Renders deliveries of any account, without links to pages of the account. */
export function plainDeliveryTable(views: readonly DeliveryView[], nowMs: number): Html {
  return table({
    caption: "Deliveries",
    columns: ["Event", "Status", "Explanation", "Call", "Endpoint", "Attempts", "Created"],
    rows: views.map((view) => {
      const delivery = deliveryJson(view, nowMs);
      return [
        html`${delivery.event_type}<br /><code class="quiet">${delivery.id}</code>`,
        badge(delivery.status),
        explanation(delivery, nowMs),
        delivery.call_sid === null ? null : sidText(delivery.call_sid),
        longText(view.endpointUrl),
        delivery.attempt_count,
        timeOf(delivery.created_at, nowMs),
      ];
    }),
    empty: "None.",
  });
}

/** Renders what a delivery waits for, and what its newest attempt failed with. */
function explanation({ explain, last_attempt: last }: ReturnType<typeof deliveryJson>, nowMs: number): Html {
  const failed = last?.error ?? null;
  return html`${sentence(explain, nowMs)}${failed === null ? "" : html`<br /><span class="quiet">Last attempt: <bdi>${failureText(failed)}</bdi></span>`}`;
}

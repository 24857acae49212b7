import type { Hono } from "hono";
import { html } from "hono/html";
import { isoTime } from "../../../domain/events/payload.ts";
import type { HttpDependencies } from "../../operations/dependencies.ts";
import { notFound } from "../../operations/problem.ts";
import { eventJson } from "../../schemas/json.ts";
import type { DashboardEnv } from "../dashboard-env.ts";
import { badge, definitionList, linkTo, preformatted, sidText, table, withVisibleMarks } from "../elements.ts";
import { livePart } from "../live/live-part.ts";
import { livePath } from "../live/live-path.ts";
import { page } from "../page.ts";
import { timeOf } from "../time.ts";

/** Page of an event: what happened, its deliveries, and its JSON as the feed has it. */
export function addEventPage(dashboard: Hono<DashboardEnv>, { store, clock }: HttpDependencies): void {
  dashboard.get("/events/:id", async (c) => {
    const view = await store.getEvent(c.get("account").id, c.req.param("id"));
    if (view === null) throw notFound("event");
    const { event, deliveries } = view;
    const { data } = event;
    const nowMs = clock.nowMs();
    const watchId = "watchId" in data ? data.watchId : data.subjectWatchId;
    const callSid = "watchId" in data ? data.callSid : data.subjectCallSid;
    const endpointId = "endpointId" in data ? data.endpointId : null;
    const status = "status" in data ? data.status : data.state;
    const { deliveries: _deliveries, ...sent } = eventJson(view);
    return page(c, {
      title: event.type,
      live: livePath,
      body: html`<h1>${event.type}</h1>
        ${definitionList([
          ["Event (webhook-id)", html`<code>${event.id}</code>`],
          ["Call", watchId === null || callSid === null ? callSid : linkTo("watches", watchId, sidText(callSid))],
          ["Endpoint", endpointId === null ? null : linkTo("endpoints", endpointId)],
          ["Source", data.source],
          ["Status", status === null ? null : badge(status)],
          ["Reason", data.reason === null || data.reason === "" ? null : html`<bdi>${data.reason}</bdi>`],
          ["Observed", timeOf(isoTime(event.timestampMs), nowMs)],
        ])}
        <h2>Deliveries</h2>
        ${livePart(
          "deliveries",
          table({
            caption: "Deliveries",
            columns: ["Delivery", "Status", "Endpoint", "Attempts", "Next attempt"],
            rows: deliveries.map((delivery) => [
              linkTo("deliveries", delivery.id),
              badge(delivery.status),
              linkTo("endpoints", delivery.endpointId),
              delivery.attemptCount,
              timeOf(isoTime(delivery.nextAttemptAtMs), nowMs),
            ]),
            empty: "No webhook was sent: no filter matches this event, or the call has no callback URL and no hook.",
          }),
        )}
        <h2>Facts</h2>
        ${preformatted(withVisibleMarks(JSON.stringify(sent, null, 2)), true)}`,
    });
  });
}

import { actorOf } from "../../operations/actor.ts";
import type { Context, Hono } from "hono";
import { html } from "hono/html";
import { renderContent } from "../../../domain/webhooks/webhook-content.ts";
import type { ContentSettings } from "../../../domain/webhooks/webhook-content.ts";
import type { EventView } from "../../../ports/stores/read-store.ts";
import type { HttpDependencies } from "../../operations/dependencies.ts";
import { manualError } from "../../operations/manual-delivery-problem.ts";
import { notFound } from "../../operations/problem.ts";
import { attemptJson, deliveryJson } from "../../schemas/json.ts";
import { adviceOn } from "../hints.ts";
import { attemptItem } from "./attempts.ts";
import type { DashboardEnv, Html } from "../dashboard-env.ts";
import { badge, definitionList, linkTo, longText, pathOf, preformatted, sidText, withCode, withVisibleMarks } from "../elements.ts";
import { actionForm } from "../form.ts";
import { needsScope } from "../session/scope-guard.ts";
import { notice, redirectWith } from "../notice.ts";
import { livePart } from "../live/live-part.ts";
import { livePath } from "../live/live-path.ts";
import { orShownAgain, problemBox } from "../forms/shown-again.ts";
import { page } from "../page.ts";
import type { PageProblem } from "../page-error.ts";
import { sentence, timeOf } from "../time.ts";

/** Number of attempts shown. The number of deferrals has no limit, so only the newest attempts are shown. */
const attemptsShown = 100;

/** Page of a delivery: attempts, answers and advice. */
export function addDeliveryPages(dashboard: Hono<DashboardEnv>, { store, manualDelivery, clock, publicUrl }: HttpDependencies): void {
  const show = async (c: Context<DashboardEnv>, problem: PageProblem | null = null) => {
    const accountId = c.get("account").id;
    const found = await store.getDelivery(accountId, c.req.param("id") ?? "");
    if (found === null) throw notFound("delivery");
    const nowMs = clock.nowMs();
    const delivery = deliveryJson(found.view, nowMs);
    const event = await store.getEvent(accountId, delivery.event_id);
    const newest = found.attempts.toReversed();
    const advice = delivery.status === "delivered" || newest[0] === undefined ? null : adviceOn(newest[0]);
    return page(
      c,
      {
        title: `Delivery of ${delivery.event_type}`,
        live: livePath,
        body: html`<h1>Delivery of ${delivery.event_type}</h1>
          ${notice(c)} ${problemBox(problem)}
          ${livePart(
            "facts",
            html`<p class="lead">${sentence(delivery.explain, nowMs)}.</p>
              ${advice === null ? "" : html`<p>${withCode(advice)}</p>`}
              ${definitionList([
                ["Status", badge(delivery.status)],
                ["Delivery", html`<code>${delivery.id}</code>`],
                ["Event (webhook-id)", html`<code>${delivery.event_id}</code>`],
                [
                  "Call",
                  delivery.watch_id === null || delivery.call_sid === null
                    ? null
                    : linkTo("watches", delivery.watch_id, sidText(delivery.call_sid)),
                ],
                ["Endpoint", linkTo("endpoints", delivery.endpoint_id, longText(found.view.endpointUrl))],
                ["Attempts", delivery.attempt_count],
                ["Next attempt", delivery.next_attempt_at === null ? null : timeOf(delivery.next_attempt_at, nowMs)],
                ["Created", timeOf(delivery.created_at, nowMs)],
                ["Settled", delivery.settled_at === null ? null : timeOf(delivery.settled_at, nowMs)],
              ])}`,
          )}
          <div class="actions">
            ${actionForm(c, { scope: "endpoints", action: `${pathOf("deliveries", delivery.id)}/retry`, label: "Retry now" })}
            <span class="quiet">Makes one attempt ahead of schedule, pause and order. A failure leaves the schedule unchanged.</span>
          </div>
          <h2>Attempts</h2>
          ${livePart(
            "attempts",
            html`${
              newest.length === 0
                ? html`<p class="quiet">None yet.</p>`
                : html`<ol class="cards" reversed>
                    ${newest.slice(0, attemptsShown).map((attempt) => attemptItem(attemptJson(attempt), nowMs))}
                  </ol>`
            }
            ${newest.length > attemptsShown ? html`<p class="quiet">${newest.length - attemptsShown} older attempts are not shown.</p>` : ""}`,
          )}
          ${event === null ? "" : bodySection(event, found.view.endpoint, publicUrl)}`,
      },
      problem,
    );
  };

  dashboard.get("/deliveries/:id", (c) => show(c));

  dashboard.post("/deliveries/:id/retry", needsScope("endpoints"), (c) =>
    orShownAgain(
      async () => {
        const id = c.req.param("id");
        const outcome = await manualDelivery.retry(c.get("account"), id, null, actorOf(c, "dashboard"));
        if (outcome.kind !== "accepted") throw manualError(outcome, "delivery");
        return redirectWith(c, pathOf("deliveries", id), "retry-accepted");
      },
      (problem) => show(c, problem),
    ),
  );
}

function bodySection({ event }: EventView, settings: ContentSettings, publicUrl: string | null): Html {
  return html`<h2>Request body</h2>
    <p class="quiet">
      The body in the endpoint's current format, ${settings.format}. The signature covers <code>webhook-id.webhook-timestamp.body</code>,
      byte for byte. Marks that turn the direction of writing are shown as <code>\\u</code> escapes.
    </p>
    ${preformatted(withVisibleMarks(renderContent(event, settings, publicUrl).body), true)}`;
}

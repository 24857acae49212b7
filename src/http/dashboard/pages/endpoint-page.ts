import type { Context, Hono } from "hono";
import { html } from "hono/html";
import type { EndpointReason } from "../../../domain/deliveries/endpoint.ts";
import { listPausingStatuses } from "../../../domain/deliveries/response-class.ts";
import type { EndpointView } from "../../../ports/stores/read-store.ts";
import type { HttpDependencies } from "../../operations/dependencies.ts";
import { notFound } from "../../operations/problem.ts";
import { endpointJson } from "../../schemas/json.ts";
import type { DashboardEnv, Html } from "../dashboard-env.ts";
import { deliveryTable } from "./delivery-list.ts";
import { endpointBadge } from "./endpoint-list.ts";
import { definitionList, pathOf, pathWith } from "../elements.ts";
import { actionForm, mayUse } from "../form.ts";
import { notice } from "../notice.ts";
import { livePart } from "../live/live-part.ts";
import { livePath } from "../live/live-path.ts";
import { recoveryFields } from "../recovery-forms.ts";
import { isPortalSession } from "../session/scope-guard.ts";
import { problemBox } from "../forms/shown-again.ts";
import { page } from "../page.ts";
import type { PageProblem } from "../page-error.ts";
import { sentence, timeOf } from "../time.ts";

const deliveriesShown = 10;

const reasons: Readonly<Record<EndpointReason | "host", string>> = {
  client: "by its owner",
  gone: "it answered 410",
  failing: "nothing but failures for days",
  rate_limited: `it answered ${listPausingStatuses("rate_limited")}`,
  unavailable: `it answered ${listPausingStatuses("unavailable")}`,
  host: `another endpoint on the same host answered ${listPausingStatuses("host")}`,
};

/** Page of an endpoint. */
export function addEndpointPage(dashboard: Hono<DashboardEnv>, dependencies: HttpDependencies): void {
  dashboard.get("/endpoints/:id", (c) => showEndpoint(c, dependencies));
}

/** Shows an endpoint: health, pending deliveries, actions. `problem`: what one of its forms was refused with. */
export async function showEndpoint(
  c: Context<DashboardEnv>,
  { store, clock, endpointMaxInFlight }: HttpDependencies,
  problem: PageProblem | null = null,
): Promise<Response> {
  const accountId = c.get("account").id;
  const view = await store.getEndpoint(accountId, c.req.param("id") ?? "");
  if (view === null) throw notFound("endpoint");
  const { id, url } = view.endpoint;
  const newest = { accountId, limit: deliveriesShown, cursor: null, endpointId: id, watchId: null, status: null };
  const { data } = await store.listDeliveries(newest);
  const nowMs = clock.nowMs();
  const endpoint = endpointJson(view, nowMs, endpointMaxInFlight);
  return page(
    c,
    {
      title: url,
      live: livePath,
      body: html`<h1>${url}</h1>
        ${notice(c)} ${problemBox(problem)}
        ${livePart(
          "facts",
          html`<p class="lead">${sentence(endpoint.explain, nowMs)}.</p>
            ${endpointFacts(view, endpoint, nowMs)}`,
        )}
        ${actions(c, view)}
        <h2>Newest deliveries</h2>
        ${livePart("deliveries", deliveryTable(data, nowMs, false))}
        <p>
          <a href="${pathWith("/dashboard/deliveries", { endpoint_id: id })}">All deliveries</a> ·
          <a href="${pathWith("/dashboard/deliveries", { endpoint_id: id, status: "exhausted" })}">exhausted</a> ·
          <a href="${pathWith("/dashboard/deliveries", { endpoint_id: id, status: "failed" })}">failed</a>
        </p>
        ${recoverForm(c, id, nowMs, problem)}`,
    },
    problem,
  );
}

function endpointFacts(view: EndpointView, endpoint: ReturnType<typeof endpointJson>, nowMs: number): Html {
  const { consecutiveFailures, failingSinceMs } = view.endpoint.health;
  return definitionList([
    ["State", html`${endpointBadge(view, endpoint.state)} ${endpoint.reason === null ? "" : reasons[endpoint.reason]}`],
    ["Since", timeOf(endpoint.since, nowMs)],
    ["Paused until", timeOf(endpoint.paused_until, nowMs)],
    [
      "Failing",
      consecutiveFailures === 0 || failingSinceMs === null
        ? null
        : html`${consecutiveFailures} in a row since ${timeOf(new Date(failingSinceMs).toISOString(), nowMs)}`,
    ],
    ["Last success", timeOf(endpoint.last_success_at, nowMs) ?? "never"],
    ["Pending", endpoint.backlog],
    ["Oldest due", timeOf(endpoint.oldest_due_at, nowMs)],
    ["Format", endpoint.format],
    ["Own headers", endpoint.headers.length === 0 ? null : html`<code>${endpoint.headers.join(", ")}</code> (values are never shown)`],
    ["Signatures", endpoint.signatures.join(", ")],
    ["Late events", endpoint.late === "drop" ? "dropped once a later one was delivered" : "still sent"],
    ["Maximum in flight", endpoint.max_in_flight],
    ["Maximum per second", endpoint.max_per_second],
    ["Endpoint", html`<code>${endpoint.id}</code>`],
    ["Created", timeOf(endpoint.created_at, nowMs)],
  ]);
}

function actions(c: Context<DashboardEnv>, { endpoint }: EndpointView): Html | string {
  if (!mayUse(c, "endpoints")) return "";
  const path = pathOf("endpoints", endpoint.id);
  const change = (state: "enabled" | "paused" | "disabled", label: string) =>
    actionForm(c, {
      scope: "endpoints",
      action: `${path}/state`,
      label,
      danger: state === "disabled",
      fields: html`<input type="hidden" name="state" value="${state}" />`,
    });
  return html`<div class="actions">
      ${endpoint.state === "disabled" ? "" : actionForm(c, { scope: "endpoints", action: `${path}/test`, label: "Send a test webhook" })}
      ${endpoint.state === "enabled" ? change("paused", "Pause") : change("enabled", "Enable")}
      <span class="quiet">The page waits for the answer of the test.</span>
    </div>
    <div class="actions">
      <a href="${`${path}/edit`}">Change settings</a>
      ${isPortalSession(c) ? "" : html`<a href="${`${path}/rotate`}">Rotate the signing secret</a>`}
    </div>
    ${
      endpoint.state === "disabled"
        ? ""
        : html`<details>
            <summary>Disable</summary>
            <p>Nothing is sent until it is enabled again. What is pending is kept for the retention time, and sent in order then.</p>
            ${change("disabled", "Disable the endpoint")}
          </details>`
    }`;
}

function recoverForm(c: Context<DashboardEnv>, endpointId: string, nowMs: number, problem: PageProblem | null): Html | string {
  if (!mayUse(c, "endpoints")) return "";
  return html`<h2>Recover</h2>
    <p>
      Requeues every exhausted, failed or expired delivery of an event in the span, with a new retry schedule. What waits for its schedule
      is due now.
    </p>
    ${actionForm(c, {
      scope: "endpoints",
      action: `${pathOf("endpoints", endpointId)}/recover`,
      label: "Recover",
      fields: recoveryFields(c, nowMs, problem),
    })}`;
}

import type { Hono } from "hono";
import { html } from "hono/html";
import type { EndpointView } from "../../../ports/stores/read-store.ts";
import type { HttpDependencies } from "../../operations/dependencies.ts";
import { endpointJson } from "../../schemas/json.ts";
import type { DashboardEnv, Html } from "../dashboard-env.ts";
import { badge, linkTo, longText, pager, table } from "../elements.ts";
import { page } from "../page.ts";
import { cursorOnly, readParameters } from "../query.ts";
import { sentence, timeOf } from "../time.ts";

const path = "/dashboard/endpoints";
const pageSize = 25;

/** Page of endpoints, newest first. */
export function addEndpointList(dashboard: Hono<DashboardEnv>, { store, clock, endpointMaxInFlight }: HttpDependencies): void {
  dashboard.get("/endpoints", async (c) => {
    const { cursor } = readParameters(c, cursorOnly);
    const { data, nextCursor } = await store.listEndpoints({ accountId: c.get("account").id, limit: pageSize, cursor: cursor ?? null });
    return page(c, {
      title: "Endpoints",
      body: html`<h1>Endpoints</h1>
        ${endpointTable(data, clock.nowMs(), endpointMaxInFlight, "No endpoints: the first watch or hook that names a URL creates one.")}
        ${pager(path, {}, { cursor, nextCursor })}`,
    });
  });
}

export function endpointTable(views: readonly EndpointView[], nowMs: number, maxInFlight: number, empty: string): Html {
  return table({
    caption: "Endpoints",
    columns: ["URL", "State", "Explanation", "Pending", "Oldest due", "Last success"],
    rows: views.map((view) => {
      const endpoint = endpointJson(view, nowMs, maxInFlight);
      return [
        linkTo("endpoints", endpoint.id, longText(endpoint.url)),
        endpointBadge(view, endpoint.state),
        sentence(endpoint.explain, nowMs),
        endpoint.backlog,
        timeOf(endpoint.oldest_due_at, nowMs),
        timeOf(endpoint.last_success_at, nowMs),
      ];
    }),
    empty,
  });
}

/** Renders the state of the API, and "failing" if an enabled endpoint fails. */
export function endpointBadge(view: EndpointView, state: ReturnType<typeof endpointJson>["state"]): Html {
  return badge(state === "enabled" && isFailing(view) ? "failing" : state);
}

export function isFailing({ endpoint }: EndpointView): boolean {
  return endpoint.health.consecutiveFailures > 0;
}

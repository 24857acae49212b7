import type { Context, Hono } from "hono";
import { html } from "hono/html";
import type { EndpointView } from "../../../ports/stores/read-store.ts";
import type { HttpDependencies } from "../../operations/dependencies.ts";
import { bulkRecoveryForm } from "../recovery-forms.ts";
import { csvAnswer } from "../csv.ts";
import type { CsvList } from "../csv.ts";
import { endpointJson } from "../../schemas/json.ts";
import type { DashboardEnv, Html } from "../dashboard-env.ts";
import { badge, csvLink, linkTo, longText, pager, table } from "../elements.ts";
import { problemBox } from "../forms/shown-again.ts";
import { page } from "../page.ts";
import type { PageProblem } from "../page-error.ts";
import { cursorOnly, readParameters } from "../query.ts";
import { sentence, timeOf } from "../time.ts";

const path = "/dashboard/endpoints";
const pageSize = 25;
const csvColumns = [
  "id",
  "url",
  "format",
  "state",
  "reason",
  "since",
  "paused_until",
  "last_success_at",
  "backlog",
  "oldest_due_at",
  "late",
  "signatures",
  "headers",
  "max_in_flight",
  "max_per_second",
  "hooks",
  "explain",
  "created_at",
];

/** Shows the endpoints, newest first. `problem`: what the recovery of all was refused with. */
export async function showEndpoints(
  c: Context<DashboardEnv>,
  { store, clock, endpointMaxInFlight }: HttpDependencies,
  problem: PageProblem | null = null,
): Promise<Response> {
  const { cursor } = readParameters(c, cursorOnly);
  const { data, nextCursor } = await store.listEndpoints({ accountId: c.get("account").id, limit: pageSize, cursor: cursor ?? null });
  const nowMs = clock.nowMs();
  return page(
    c,
    {
      title: "Endpoints",
      body: html`<h1>Endpoints</h1>
        ${problemBox(problem)}
        ${endpointTable(data, nowMs, endpointMaxInFlight, "No endpoints: the first watch or hook that names a URL creates one.")}
        ${pager(path, {}, { cursor, nextCursor })} ${csvLink(path, {})} ${data.length === 0 ? "" : bulkRecoveryForm(c, nowMs, problem)}`,
    },
    problem,
  );
}

/** Page of endpoints. */
export function addEndpointList(dashboard: Hono<DashboardEnv>, dependencies: HttpDependencies): void {
  const { store, clock, endpointMaxInFlight } = dependencies;
  dashboard.get("/endpoints", (c) => showEndpoints(c, dependencies));

  dashboard.get("/endpoints.csv", (c) => {
    const { cursor } = readParameters(c, cursorOnly);
    const accountId = c.get("account").id;
    const list: CsvList<EndpointView> = {
      name: "endpoints",
      columns: csvColumns,
      read: (page) => store.listEndpoints({ ...page, accountId }),
      json: (view) => endpointJson(view, clock.nowMs(), endpointMaxInFlight),
    };
    return csvAnswer(c, list, cursor ?? null);
  });
}

/** Renders endpoints of any account, without links to pages of the account. */
export function plainEndpointTable(views: readonly EndpointView[], nowMs: number, maxInFlight: number): Html {
  return endpointTable(views, nowMs, maxInFlight, "No endpoints.", ({ url }) => longText(url));
}

export function endpointTable(
  views: readonly EndpointView[],
  nowMs: number,
  maxInFlight: number,
  empty: string,
  nameOf: (endpoint: ReturnType<typeof endpointJson>) => Html = ({ id, url }) => linkTo("endpoints", id, longText(url)),
): Html {
  return table({
    caption: "Endpoints",
    columns: ["URL", "State", "Explanation", "Pending", "Oldest due", "Last success"],
    rows: views.map((view) => {
      const endpoint = endpointJson(view, nowMs, maxInFlight);
      return [
        nameOf(endpoint),
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

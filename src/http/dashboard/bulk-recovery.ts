import type { Context, Hono } from "hono";
import { html } from "hono/html";
import type { EndpointView } from "../../ports/stores/read-store.ts";
import { actorOf } from "../operations/actor.ts";
import type { HttpDependencies } from "../operations/dependencies.ts";
import type { DashboardEnv } from "./dashboard-env.ts";
import { definitionList, linkTo, longText, table } from "./elements.ts";
import { actionForm } from "./form.ts";
import { orShownAgain } from "./forms/shown-again.ts";
import { page } from "./page.ts";
import { isFailing, showEndpoints } from "./pages/endpoint-list.ts";
import { bulkRecoveryPath, endpointsPath, recoverySpanIn } from "./recovery-forms.ts";
import { needsScope } from "./session/scope-guard.ts";

const pageSize = 100;
/** Endpoints that one click looks at, and recovers, at most: an account may have tens of thousands. */
const mostScanned = 1000;
const mostRecovered = 50;

type Recovered = { readonly view: EndpointView; readonly count: string };

/** Action that recovers every failing endpoint, in portions of one click each. */
export function addBulkRecovery(dashboard: Hono<DashboardEnv>, dependencies: HttpDependencies): void {
  const { store, manualDelivery, clock } = dependencies;
  const act = async (c: Context<DashboardEnv>) => {
    const { sinceMs, untilMs } = recoverySpanIn(c, clock.nowMs());
    const account = c.get("account");
    const by = actorOf(c, "dashboard");
    const done: Recovered[] = [];
    let [cursor, scanned, isLast] = [c.get("form").get("cursor") || null, 0, false];
    while (!isLast && scanned < mostScanned && done.length < mostRecovered) {
      const { data, nextCursor } = await store.listEndpoints({ accountId: account.id, limit: pageSize, cursor });
      for (const view of data) {
        if (view.endpoint.state === "disabled" || !isFailing(view)) continue;
        const outcome = await manualDelivery.recover(account, view.endpoint.id, { sinceMs, untilMs }, null, by);
        // It may have been removed or disabled since the list was read.
        if (outcome.kind === "recovered") done.push({ view, count: countOf(outcome) });
      }
      [cursor, scanned, isLast] = [nextCursor, scanned + data.length, nextCursor === null];
    }
    return page(c, {
      title: "Failing endpoints recovered",
      body: html`<h1>Failing endpoints recovered</h1>
        ${definitionList([
          ["Endpoints looked at", scanned],
          ["Recovered", done.length],
        ])}
        ${table({
          caption: "Recovered endpoints",
          columns: ["URL", "Deliveries"],
          rows: done.map(({ view, count }) => [linkTo("endpoints", view.endpoint.id, longText(view.endpoint.url)), count]),
          empty: "No endpoint that is not disabled fails.",
        })}
        ${
          isLast
            ? ""
            : html`<p>There are more endpoints.</p>
                ${actionForm(c, {
                  scope: "endpoints",
                  action: bulkRecoveryPath,
                  label: "Go on with the next",
                  fields: html`<input type="hidden" name="since" value="${exactTime(sinceMs)}" />
                    <input type="hidden" name="until" value="${exactTime(untilMs)}" />
                    <input type="hidden" name="cursor" value="${cursor ?? ""}" />`,
                })}`
        }
        <p><a href="${endpointsPath}">All endpoints</a></p>`,
    });
  };

  dashboard.post("/endpoints/recover", needsScope("endpoints"), (c) =>
    orShownAgain(
      () => act(c),
      (problem) => showEndpoints(c, dependencies, problem),
    ),
  );
}

/** Renders a time as a field of a form takes it, to the millisecond. */
function exactTime(ms: number): string {
  return new Date(ms).toISOString().slice(0, -1);
}

function countOf({
  recovered,
  hurried,
  more,
}: {
  readonly recovered: number | null;
  readonly hurried: number | null;
  readonly more: boolean;
}) {
  return more || recovered === null || hurried === null ? "more than 1,000, in portions" : `${recovered} pending again, ${hurried} due now`;
}

import { z } from "@hono/zod-openapi";
import type { Hono } from "hono";
import { html } from "hono/html";
import { accountLimitEntries } from "../../../domain/quotas.ts";
import type { SourceHealth } from "../../../domain/sources/source.ts";
import type { HttpDependencies } from "../../operations/dependencies.ts";
import { sourceJson, watchJson } from "../../schemas/json.ts";
import { adviceOnSource } from "../hints.ts";
import type { DashboardEnv, Html } from "../dashboard-env.ts";
import { deliveryTable } from "./delivery-list.ts";
import { badge, definitionList, table, tiles, withCode } from "../elements.ts";
import { defaultSecretPath } from "./default-secret-page.ts";
import { mayUse } from "../form.ts";
import { endpointTable } from "./endpoint-list.ts";
import { findForm } from "../search.ts";
import { livePart } from "../live/live-part.ts";
import { livePath } from "../live/live-path.ts";
import { page } from "../page.ts";
import { activityPictures, rangeNames } from "../pictures/activity.ts";
import { choiceField, readParameters } from "../query.ts";
import { timeOf } from "../time.ts";
import { endpointsScanned, findIssues } from "../issues.ts";
import { watchTable } from "./watch-list.ts";

const watchesShown = 8;

/** Overview: problems of the account, pending deliveries and the age of the oldest. */
export function addOverview(dashboard: Hono<DashboardEnv>, dependencies: HttpDependencies): void {
  const { store, live, clock, limits, endpointMaxInFlight } = dependencies;
  dashboard.get("/", async (c) => {
    const account = c.get("account");
    const { range } = readParameters(c, z.object({ range: choiceField(rangeNames) }));
    const [issues, watches, pictures] = await Promise.all([
      findIssues(dependencies, account.id, clock.nowMs()),
      store.listWatches({ accountId: account.id, limit: watchesShown, cursor: null, status: null, callSid: null }),
      activityPictures(dependencies, account.id, range ?? "hour"),
    ]);
    const nowMs = clock.nowMs();
    return page(c, {
      title: "Overview",
      live: livePath,
      body: html`<h1>Overview</h1>
        ${findForm()}
        ${livePart(
          "account",
          html`${tiles([
              ["Pending webhooks", issues.pendingCount.toLocaleString("en-US")],
              ["Oldest due", timeOf(issues.oldestDueAt, nowMs) ?? "nothing is pending"],
              ["Endpoints with issues", issues.endpoints.length + issues.endpointsHidden],
            ])}
            <p class="quiet">
              Based on the ${endpointsScanned} newest endpoints and those with the newest pending webhooks.
              <a href="/dashboard/endpoints">All endpoints</a>
            </p>
            ${pictures}
            <h2>Sources</h2>
            ${sourceTable(live.sources(account), nowMs)}
            <h2>Endpoints with issues</h2>
            ${endpointTable(issues.endpoints, nowMs, endpointMaxInFlight, "None: every endpoint that was checked is enabled and its last attempt succeeded.")}
            ${issues.endpointsHidden === 0 ? "" : html`<p class="quiet">And ${issues.endpointsHidden} more.</p>`}
            <h2>Recently failed</h2>
            ${deliveryTable(issues.failures, nowMs)}
            <h2>Newest watches</h2>
            ${watchTable(
              watches.data.map((view) => watchJson(view, live, nowMs)),
              nowMs,
            )}`,
        )}
        <h2>Account</h2>
        ${definitionList([
          ["Name", account.name],
          ["Account", html`<code>${account.id}</code>`],
          ["Public key (v1a)", html`<code>${account.publicKey}</code>`],
          ...accountLimitEntries.map(([name, { unit }]): [Html, string] => [withCode(`Maximum ${unit}`), limitText(limits[name])]),
        ])}
        ${mayUse(c, "admin") ? html`<p><a href="${defaultSecretPath}">Set the signing secret of new endpoints</a></p>` : ""}`,
    });
  });
}

function limitText(limit: number): string {
  return limit === 0 ? "no limit" : String(limit);
}

function sourceTable(sources: readonly SourceHealth[], nowMs: number): Html {
  return table({
    caption: "Sources",
    columns: ["Source", "State", "Explanation", "Last good poll", "Interval"],
    rows: sources.map((health) => {
      const source = sourceJson(health);
      return [
        source.name,
        html`${badge(source.state)} ${source.reason ?? ""}`,
        adviceOnSource(health) ?? "Answers.",
        timeOf(source.last_good_poll_at, nowMs),
        `${source.interval_ms / 1000} s`,
      ];
    }),
    empty: "The account has no source.",
  });
}

import type { Hono } from "hono";
import { html } from "hono/html";
import type { InstanceView } from "../../../ports/use-cases/live-state.ts";
import type { HttpDependencies } from "../../operations/dependencies.ts";
import { isoTime } from "../../../domain/events/payload.ts";
import { csvAnswer } from "../csv.ts";
import type { DashboardEnv, Html } from "../dashboard-env.ts";
import { csvLink, definitionList, table } from "../elements.ts";
import { page } from "../page.ts";
import { freshnessNote, freshnessTable, sourceCsv } from "../pages/source-page.ts";
import { timeOf } from "../time.ts";
import { addAccountPagesOfOperator, accountsByUse, accountTable } from "./operator-accounts.ts";
import { addAuditPageOfOperator } from "./operator-audit.ts";
import { operatorPath } from "./operator-path.ts";

const accountsShown = 10;
const instanceColumns = ["instance", "is_this", "source", "calls", "polls_per_second", "last_good_poll_at"];

/** Pages of the operator, over all accounts and sources. They change nothing and show no secret. */
export function addOperatorPages(dashboard: Hono<DashboardEnv>, dependencies: HttpDependencies): void {
  const { store, live, clock } = dependencies;

  dashboard.get("/operator", async (c) => {
    const [stats, accounts] = await Promise.all([store.readStats(), store.listAccounts(clock.nowMs())]);
    const nowMs = clock.nowMs();
    const { deliveriesByStatus, watchesByStatus, endpointsByState } = stats;
    return page(c, {
      title: "Service",
      body: html`<h1>Service</h1>
        <h2>Queues</h2>
        ${definitionList([
          ["Oldest due poll", dueText(live.oldestDuePollMs())],
          ["Oldest due webhook", timeOf(isoTime(stats.oldestDueDeliveryAtMs), nowMs) ?? "none is due"],
          ["Pending webhooks", deliveriesByStatus["pending"] ?? 0],
          ["Active watches", watchesByStatus["active"] ?? 0],
          ["Endpoints", `${endpointsByState.enabled} enabled, ${endpointsByState.paused} paused, ${endpointsByState.disabled} disabled`],
        ])}
        <p class="quiet">The oldest due poll is that of the instance that shows this page; the rest is of all instances.</p>
        <h2>Sources</h2>
        ${freshnessTable(live.allSources(), live, nowMs)} ${freshnessNote()} ${csvLink(`${operatorPath}/sources`, {})}
        <h2>Instances</h2>
        ${instanceTable(live.instances(), nowMs)} ${csvLink(`${operatorPath}/instances`, {})}
        <h2>Accounts by use</h2>
        ${accountTable(accountsByUse(accounts, "watches").slice(0, accountsShown), nowMs)}
        <p><a href="${`${operatorPath}/accounts`}">All accounts (${accounts.length})</a></p>`,
    });
  });

  dashboard.get("/operator/sources.csv", (c) => csvAnswer(c, sourceCsv(live.allSources(), live), null));

  dashboard.get("/operator/instances.csv", (c) =>
    csvAnswer(
      c,
      {
        name: "instances",
        columns: instanceColumns,
        read: () => Promise.resolve({ data: live.instances().flatMap(instanceRows), nextCursor: null }),
        json: (row) => row,
      },
      null,
    ),
  );

  addAccountPagesOfOperator(dashboard, dependencies);
  addAuditPageOfOperator(dashboard, dependencies);
}

function dueText(dueMs: number): string {
  return dueMs === 0 ? "none is due" : `due for ${Number((dueMs / 1000).toFixed(1))} s`;
}

/** Returns one row for each source of an instance; one without a source for an instance that polls none. */
function instanceRows({ token, isThis, shares }: InstanceView) {
  const none = { sourceName: null, calls: 0, ratePerSecond: 0, lastGoodPollAtMs: null };
  return (shares.length === 0 ? [none] : shares).map(({ sourceName, calls, ratePerSecond, lastGoodPollAtMs }) => ({
    instance: token,
    is_this: isThis,
    source: sourceName,
    calls,
    polls_per_second: ratePerSecond,
    last_good_poll_at: isoTime(lastGoodPollAtMs),
  }));
}

function instanceTable(instances: readonly InstanceView[], nowMs: number): Html {
  return table({
    caption: "Instances",
    columns: ["Instance", "Source", "Calls", "Share of the rate", "Last good poll"],
    rows: instances
      .flatMap(instanceRows)
      .map((row) => [
        row.instance === null ? "the only one" : `${row.instance}${row.is_this ? " (this one)" : ""}`,
        row.source,
        row.calls,
        `${Number(row.polls_per_second.toFixed(2))} polls/s`,
        timeOf(row.last_good_poll_at, nowMs),
      ]),
    empty: "No instances.",
  });
}

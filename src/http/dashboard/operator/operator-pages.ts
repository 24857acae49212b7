import type { Hono } from "hono";
import { html } from "hono/html";
import type { InstanceView } from "../../../ports/use-cases/live-state.ts";
import type { HttpDependencies } from "../../operations/dependencies.ts";
import { isoTime } from "../../../domain/events/payload.ts";
import { csvAnswer } from "../csv.ts";
import type { DashboardEnv, Html } from "../dashboard-env.ts";
import { csvLink, definitionList, table } from "../elements.ts";
import { livePart } from "../live/live-part.ts";
import { scriptName } from "../live/live-script.ts";
import { addLiveScript } from "../live/live-stream.ts";
import { page } from "../page.ts";
import { freshnessNote, freshnessTable, sourceCsv } from "../pages/source-page.ts";
import { timeOf } from "../time.ts";
import { addAccountPagesOfOperator, accountsByUse, accountTable } from "./operator-accounts.ts";
import { addAuditPageOfOperator } from "./operator-audit.ts";
import { operatorPath } from "./operator-path.ts";

const accountsShown = 10;
const instanceColumns = ["instance", "is_this", "source", "calls", "polls_per_second", "last_good_poll_at", "oldest_due_poll_ms"];

/** Pages of the operator, over all accounts and sources. They change nothing and show no secret. */
export function addOperatorPages(dashboard: Hono<DashboardEnv>, dependencies: HttpDependencies): void {
  const { store, live, clock } = dependencies;

  dashboard.get("/operator", async (c) => {
    const [stats, accounts] = await Promise.all([store.readStats(), store.listAccounts(clock.nowMs())]);
    const nowMs = clock.nowMs();
    const { deliveriesByStatus, watchesByStatus, endpointsByState } = stats;
    const instances = live.instances();
    const ages = instances.flatMap(({ isThis, shares }) => (isThis ? [] : shares.map(({ oldestDuePollMs }) => oldestDuePollMs)));
    const facts = html`<h2>Queues</h2>
      ${definitionList([
        ["Oldest due poll", dueText(Math.max(live.oldestDuePollMs(), ...ages))],
        ["Oldest due webhook", timeOf(isoTime(stats.oldestDueDeliveryAtMs), nowMs) ?? "none is due"],
        ["Pending webhooks", deliveriesByStatus["pending"] ?? 0],
        ["Active watches", watchesByStatus["active"] ?? 0],
        ["Endpoints", `${endpointsByState.enabled} enabled, ${endpointsByState.paused} paused, ${endpointsByState.disabled} disabled`],
      ])}
      <h2>Sources</h2>
      ${freshnessTable(live.allSources(), live, nowMs)} ${freshnessNote()} ${csvLink(`${operatorPath}/sources`, {})}
      <h2>Instances</h2>
      ${instanceTable(instances, nowMs)} ${csvLink(`${operatorPath}/instances`, {})}
      ${instances.length > 1 ? html`<p class="quiet">Of other instances, what they said with their last heartbeat, seconds ago.</p>` : ""}
      <h2>Accounts by use</h2>
      ${accountTable(accountsByUse(accounts, "watches").slice(0, accountsShown), nowMs)}
      <p><a href="${`${operatorPath}/accounts`}">All accounts (${accounts.length})</a></p>`;
    return page(c, {
      title: "Service",
      isGauge: true,
      body: html`<h1>Service</h1>
        ${livePart("service", facts)}`,
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

  addLiveScript(dashboard, `/operator/${scriptName}`);
  addAccountPagesOfOperator(dashboard, dependencies);
  addAuditPageOfOperator(dashboard, dependencies);
}

function dueText(dueMs: number): string {
  return dueMs === 0 ? "none is due" : `due for ${Number((dueMs / 1000).toFixed(1))} s`;
}

/** Returns one row for each source of an instance; one without a source for an instance that polls none. */
function instanceRows({ token, isThis, shares }: InstanceView) {
  const none = { sourceName: null, calls: 0, ratePerSecond: 0, lastGoodPollAtMs: null, oldestDuePollMs: 0 };
  return (shares.length === 0 ? [none] : shares).map(({ sourceName, calls, ratePerSecond, lastGoodPollAtMs, oldestDuePollMs }) => ({
    instance: token,
    is_this: isThis,
    source: sourceName,
    calls,
    polls_per_second: ratePerSecond,
    last_good_poll_at: isoTime(lastGoodPollAtMs),
    oldest_due_poll_ms: Math.round(oldestDuePollMs),
  }));
}

function instanceTable(instances: readonly InstanceView[], nowMs: number): Html {
  return table({
    caption: "Instances",
    columns: ["Instance", "Source", "Calls", "Share of the rate", "Oldest due poll", "Last good poll"],
    rows: instances
      .flatMap(instanceRows)
      .map((row) => [
        row.instance === null ? "the only one" : `${row.instance}${row.is_this ? " (this one)" : ""}`,
        row.source,
        row.calls,
        `${Number(row.polls_per_second.toFixed(2))} polls/s`,
        dueText(row.oldest_due_poll_ms),
        timeOf(row.last_good_poll_at, nowMs),
      ]),
    empty: "No instances.",
  });
}

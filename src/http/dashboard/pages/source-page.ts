import type { Hono } from "hono";
import { html } from "hono/html";
import type { DetectionDelays, SourceHealth } from "../../../domain/sources/source.ts";
import type { HttpDependencies } from "../../operations/dependencies.ts";
import type { LiveState } from "../../../ports/use-cases/live-state.ts";
import { sourceJson } from "../../schemas/json.ts";
import { csvAnswer } from "../csv.ts";
import type { DashboardEnv, Html } from "../dashboard-env.ts";
import { badge, csvLink, table } from "../elements.ts";
import { adviceOnSource } from "../hints.ts";
import { page } from "../page.ts";
import { timeOf } from "../time.ts";

const path = "/dashboard/sources";
const csvColumns = [
  "name",
  "kind",
  "state",
  "reason",
  "since",
  "last_good_poll_at",
  "interval_ms",
  "last_unknown_status",
  "expected_delay_ms",
  "even_delay_ms",
];

/** Page of the sources that the account may use: health, and how fresh their statuses are. */
export function addSourcePage(dashboard: Hono<DashboardEnv>, { live, clock }: HttpDependencies): void {
  dashboard.get("/sources", (c) => {
    const nowMs = clock.nowMs();
    return page(c, {
      title: "Sources",
      body: html`<h1>Sources</h1>
        <p class="quiet">Where calls are polled. The operator sets them; no credential is shown.</p>
        ${freshnessTable(live.sources(c.get("account")), live, nowMs)} ${freshnessNote()} ${csvLink(path, {})}`,
    });
  });

  dashboard.get("/sources.csv", (c) => csvAnswer(c, sourceCsv(live.sources(c.get("account")), live), null));
}

/** Returns the sources as CSV. */
export function sourceCsv(sources: readonly SourceHealth[], live: LiveState) {
  return {
    name: "sources",
    columns: csvColumns,
    read: () => Promise.resolve({ data: sources, nextCursor: null }),
    json: (health: SourceHealth) => {
      const delays = live.detectionDelays(health.name);
      return { ...sourceJson(health), expected_delay_ms: delays?.learnedMs ?? null, even_delay_ms: delays?.evenMs ?? null };
    },
  };
}

/** Renders sources with the delay that is expected between a change and the poll that finds it. */
export function freshnessTable(sources: readonly SourceHealth[], live: LiveState, nowMs: number): Html {
  return table({
    caption: "Sources",
    columns: ["Source", "State", "Explanation", "Last good poll", "Interval", "Expected delay", "Unknown status"],
    rows: sources.map((health) => {
      const source = sourceJson(health);
      return [
        html`${source.name}<br /><span class="quiet">${source.kind}</span>`,
        html`${badge(source.state)} ${source.reason ?? ""}${source.since === null ? "" : html`<br />${timeOf(source.since, nowMs)}`}`,
        adviceOnSource(health) ?? "Answers.",
        timeOf(source.last_good_poll_at, nowMs),
        seconds(source.interval_ms),
        delayText(live.detectionDelays(source.name), source.interval_ms),
        source.last_unknown_status,
      ];
    }),
    empty: "The account has no source.",
  });
}

export function freshnessNote(): Html {
  return html`<p class="quiet">
    The expected delay is the time from a change to the poll that finds it. <em>Learned</em> is that of the schedule in force, which polls
    calls sooner that are likelier to change; <em>even</em> is what the same number of polls would give if all calls were polled alike.
  </p>`;
}

function delayText(delays: DetectionDelays | null, intervalMs: number): Html {
  if (delays === null) return html`${seconds(intervalMs / 2)} <span class="quiet">even; no change observed yet</span>`;
  return html`${seconds(delays.learnedMs)} learned <span class="quiet">against ${seconds(delays.evenMs)} even</span>`;
}

function seconds(ms: number): string {
  return `${Number((ms / 1000).toFixed(2))} s`;
}

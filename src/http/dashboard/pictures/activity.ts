import { html } from "hono/html";
import { quantileMs, spansOf, sumOf } from "../../../domain/activity.ts";
import type { ActivitySpan } from "../../../domain/activity.ts";
import type { HttpDependencies } from "../../operations/dependencies.ts";
import type { Html } from "../dashboard-env.ts";
import { pathWith } from "../elements.ts";
import { durationText, percentText, rateText } from "../time.ts";
import { lineChart } from "./line-chart.ts";

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

/** Times that the pictures can show. Counts are kept by minute for 2 hours only, and by hour for 8 days. */
const ranges = {
  hour: { label: "Last hour", ofMs: hourMs, stepMs: minuteMs, from: 11, to: 16 },
  day: { label: "Last day", ofMs: dayMs, stepMs: hourMs, from: 11, to: 16 },
  week: { label: "Last week", ofMs: 7 * dayMs, stepMs: 6 * hourMs, from: 5, to: 16 },
} as const;
type RangeName = keyof typeof ranges;
export const rangeNames = ["hour", "day", "week"] as const satisfies readonly RangeName[];

const slowFromMs = 10;
const delayFromMs = 500;

/** Reads and renders what happened in an account as pictures. */
export async function activityPictures(
  { store, clock }: Pick<HttpDependencies, "store" | "clock">,
  accountId: string,
  name: RangeName,
): Promise<Html> {
  const { ofMs, stepMs } = ranges[name];
  const nowMs = clock.nowMs();
  const sinceMs = nowMs - ofMs - ((nowMs - ofMs) % stepMs);
  const counts = await store.readActivity({ accountId, sinceMs, stepMs });
  return html`<nav class="ranges" aria-label="Time of the pictures">
      ${rangeNames.map((each) =>
        each === name
          ? html`<a href="${pathOf(each)}" aria-current="true">${ranges[each].label}</a>`
          : html`<a href="${pathOf(each)}">${ranges[each].label}</a>`,
      )}
    </nav>
    ${charts(spansOf(counts, { sinceMs, untilMs: nowMs, stepMs }), name, nowMs)}`;
}

function pathOf(name: RangeName): string {
  return pathWith("/dashboard", { range: name === "hour" ? undefined : name });
}

function charts(spans: readonly ActivitySpan[], name: RangeName, nowMs: number): Html {
  const { stepMs, from, to } = ranges[name];
  const sum = sumOf(spans);
  const times = spans.map(({ atMs }) => new Date(atMs).toISOString().slice(from, to).replace("T", " "));
  const minutes = Math.max(1, (nowMs - (spans[0]?.atMs ?? nowMs)) / minuteMs);
  /** The last span is not over; its rate is that of the time that has passed. */
  const perMinute = (of: (span: ActivitySpan) => number) =>
    spans.map((span) => of(span) / (Math.max(stepMs / 2, Math.min(stepMs, nowMs - span.atMs)) / minuteMs));
  const quantiles = (of: (span: ActivitySpan) => readonly number[]) =>
    ([0.5, 0.95] as const).map((part) => ({
      name: part === 0.5 ? "Half (p50)" : "95 of 100 (p95)",
      values: spans.map((span) => quantileMs(of(span), part)),
    }));
  const attempts = sum.delivered + sum.failed;
  return html`<div class="charts">
    ${lineChart({
      title: "Transitions and webhooks per minute",
      summary: `${count(sum.transitions, "transition")} and ${count(sum.delivered, "delivered webhook")}: ${rateText(sum.transitions / minutes)} and ${rateText(sum.delivered / minutes)} a minute`,
      series: [
        { name: "Transitions", values: perMinute((span) => span.transitions) },
        { name: "Webhooks delivered", values: perMinute((span) => span.delivered) },
      ],
      times,
      textOf: rateText,
      isCount: true,
    })}
    ${lineChart({
      title: "Success rate",
      summary:
        attempts === 0
          ? "No attempt"
          : `${percentText(rateOf(sum) ?? 0)} of ${count(attempts, "attempt")} delivered, ${sum.failed} did not`,
      series: [{ name: "Attempts that delivered", values: spans.map(rateOf) }],
      times,
      textOf: percentText,
      top: 100,
    })}
    ${lineChart({
      title: "Delivery latency",
      summary: quantileText(sum.latency, "No webhook was delivered", "of the webhooks arrived within"),
      series: quantiles((span) => span.latency),
      times,
      textOf: durationText,
      leastTop: 1000,
      logFrom: slowFromMs,
    })}
    ${lineChart({
      title: "Detection delay",
      summary: quantileText(sum.delay, "No transition with a known time", "of the transitions were seen within"),
      series: quantiles((span) => span.delay),
      times,
      textOf: durationText,
      leastTop: 5000,
      logFrom: delayFromMs,
    })}
  </div>`;
}

function rateOf({ delivered, failed }: Pick<ActivitySpan, "delivered" | "failed">): number | null {
  return delivered + failed === 0 ? null : (100 * delivered) / (delivered + failed);
}

function quantileText(durations: readonly number[], none: string, what: string): string {
  const [median, high] = [quantileMs(durations, 0.5), quantileMs(durations, 0.95)];
  if (median === null || high === null) return none;
  return `Half ${what} ${durationText(median)}, 95 of 100 within ${durationText(high)}`;
}

function count(n: number, what: string): string {
  return `${n.toLocaleString("en-US")} ${what}${n === 1 ? "" : "s"}`;
}

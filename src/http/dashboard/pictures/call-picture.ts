import { html, raw } from "hono/html";
import type { Attempt } from "../../../domain/deliveries/attempt.ts";
import type { EventView } from "../../../ports/stores/read-store.ts";
import type { Html } from "../dashboard-env.ts";
import { badge, linkTo, longText } from "../elements.ts";
import type { Timeline } from "../pages/watch-timeline.ts";
import { durationText, sentence, timeOf } from "../time.ts";
import { lateOf } from "./late.ts";

/** Times of a watch. `endedAtMs` is `null` while it is active. */
export type WatchTimes = { readonly createdAtMs: number; readonly endedAtMs: number | null };

/** A status of the call from one event to the next; `null` before the first. */
type Stay = { readonly status: string | null; readonly fromMs: number; readonly toMs: number };

/** Units of the picture. It is stretched to the width of the page, so that no text is inside. */
const [width, height] = [1000, 20];
/** Part of the picture for the life of the call, at least, where its webhooks take longer. */
const leastLifePart = 0.1;
/** A time without a status that is too short to be shown. */
const shortMs = 1000;
const statuses = new Set(["queued", "calling", "success", "failure"]);

/** Renders the life of a call as a picture: time in each status, and the attempts of each endpoint. Its texts say the same. */
export function callPicture(timeline: Timeline, times: WatchTimes, nowMs: number): Html {
  const stays = staysOf(timeline.events, times, nowMs);
  const lanes = lanesOf(timeline);
  const lastAttemptMs = Math.max(times.createdAtMs, ...lanes.flatMap(({ attempts }) => attempts.map(({ startedAtMs }) => startedAtMs)));
  const isOver = times.endedAtMs !== null && lanes.every(({ waits }) => waits.every(({ toMs }) => toMs !== null));
  const endMs = isOver ? Math.max(times.endedAtMs ?? 0, lastAttemptMs, stays.at(-1)?.fromMs ?? 0) : nowMs;
  // A call that goes on is drawn to scale as a whole.
  const lifeEndMs = times.endedAtMs === null ? endMs : Math.min(endMs, Math.max(times.endedAtMs, stays.at(-1)?.fromMs ?? 0));
  const { x, isBroken } = scaleOf(times.createdAtMs, lifeEndMs, endMs);
  const late = lateOf(timeline, nowMs);
  return html`<section class="picture" aria-label="Timeline">
    <div class="lane">
      <span>Call</span>
      ${svg("Time in each status", stays.map((stay) => bar(stay, x)).join(""))}
    </div>
    ${lanes.map(
      ({ endpointId, url, attempts, waits }) =>
        html`<div class="lane">
          ${linkTo("endpoints", endpointId, html`<span class="cut">${url.replace(/^https?:\/\//, "")}</span>`)}
          ${svg(
            `${attempts.length} attempts`,
            waits.map(({ fromMs, toMs }) => `<path class="wait" d="M${x(fromMs)} ${height / 2}H${x(toMs ?? endMs)}"/>`).join("") +
              attempts.map((attempt) => tick(attempt, x)).join(""),
          )}
        </div>`,
    )}
    <div class="lane">
      <span></span>
      <div class="times">
        <span>registered ${timeOf(new Date(times.createdAtMs).toISOString(), nowMs)}</span>
        <span>${isOver ? "last" : "now"} ${timeOf(new Date(endMs).toISOString(), nowMs)}</span>
      </div>
    </div>
    ${isBroken ? html`<p class="quiet">The time after the end of the watch is drawn shorter the longer it lasts.</p>` : ""}
    <ul class="legend">
      ${stays.map(
        ({ status, fromMs, toMs }) =>
          html`<li class="${`is-${toneOf(status)}`}">
            <bdi>${status ?? "no status seen"}</bdi> ${isLasting(status, times) ? html`<b>${durationText(toMs - fromMs)}</b>` : ""}
          </li>`,
      )}
    </ul>
    <h3>What was late, and why</h3>
    ${
      late.length === 0
        ? html`<p class="quiet">Nothing: each change was seen within 10 s, and each webhook arrived within 5 s of it.</p>`
        : html`<ul class="late">
            ${late.map(
              ({ subject, deliveryId, url, lateMs, reason, failure, state }) =>
                html`<li>
                  ${badge(state)} ${deliveryId === null ? subject : linkTo("deliveries", deliveryId, subject)}
                  ${url === null ? "" : html`to ${longText(url)}`} <b>${phraseOf(state)} ${durationText(lateMs)}</b>:
                  ${sentence(reason, nowMs)}${failure === null ? "" : html`. The newest failure: <bdi>${failure}</bdi>`}
                </li>`,
            )}
          </ul>`
    }
  </section>`;
}

function phraseOf(state: string): string {
  if (state === "slowed") return "seen within";
  if (state === "pending") return "has waited";
  return state === "delivered" ? "arrived after" : "given up after";
}

/** Whether the time in a status says something: an end lasts forever. */
function isLasting(status: string | null, { endedAtMs }: WatchTimes): boolean {
  return endedAtMs === null || (status !== "success" && status !== "failure");
}

function staysOf(events: readonly EventView[], { createdAtMs, endedAtMs }: WatchTimes, nowMs: number): readonly Stay[] {
  const starts = [
    { status: null as string | null, fromMs: createdAtMs },
    ...events.map(({ event }) => ({ status: "status" in event.data ? event.data.status : null, fromMs: event.timestampMs })),
  ];
  const last = Math.max(endedAtMs ?? nowMs, starts.at(-1)?.fromMs ?? 0);
  return (
    starts
      .map(({ status, fromMs }, index) => ({ status, fromMs, toMs: starts[index + 1]?.fromMs ?? last }))
      // The status may be known before the watch is.
      .map((stay) => ({ ...stay, fromMs: Math.max(stay.fromMs, createdAtMs), toMs: Math.max(stay.toMs, createdAtMs) }))
      .filter(({ status, fromMs, toMs }, index) => status !== null || toMs - fromMs >= shortMs || index === starts.length - 1)
  );
}

type Lane = {
  readonly endpointId: string;
  readonly url: string;
  readonly attempts: readonly Attempt[];
  /** From each event to the end of its delivery; `null` while it is pending. */
  readonly waits: readonly { readonly fromMs: number; readonly toMs: number | null }[];
};

function lanesOf({ events, detailById }: Timeline): readonly Lane[] {
  const deliveries = events.flatMap(({ event, deliveries }) =>
    deliveries.flatMap(({ id, endpointId }) => {
      const detail = detailById.get(id);
      return detail === undefined ? [] : [{ endpointId, fromMs: event.timestampMs, detail }];
    }),
  );
  return [...Map.groupBy(deliveries, ({ endpointId }) => endpointId)].map(([endpointId, group]) => ({
    endpointId,
    url: group[0]?.detail.view.endpointUrl ?? endpointId,
    attempts: group.flatMap(({ detail }) => detail.attempts),
    waits: group.map(({ fromMs, detail }) => ({ fromMs, toMs: detail.view.delivery.settledAtMs })),
  }));
}

/**
 * Returns the place of a time. The life of the call is drawn to scale. What comes later, as attempts of a day, is drawn by its
 * logarithm if it is longer, so that both stay visible.
 */
function scaleOf(startMs: number, lifeEndMs: number, endMs: number): { readonly x: (ms: number) => number; readonly isBroken: boolean } {
  const [lifeMs, afterMs] = [Math.max(1, lifeEndMs - startMs), Math.max(0, endMs - lifeEndMs)];
  const isBroken = afterMs > 2 * lifeMs && afterMs > 10_000;
  if (!isBroken) return { x: (ms) => rounded((ms - startMs) / (lifeMs + afterMs)), isBroken };
  const lifePart = Math.max(leastLifePart, Math.min(1 - leastLifePart, logOf(lifeMs) / (logOf(lifeMs) + logOf(afterMs))));
  const after = (ms: number) => logOf(ms - lifeEndMs) / logOf(afterMs);
  return {
    x: (ms) => rounded(ms <= lifeEndMs ? ((ms - startMs) / lifeMs) * lifePart : lifePart + after(ms) * (1 - lifePart)),
    isBroken,
  };
}

function logOf(ms: number): number {
  return Math.log1p(ms / 1000);
}

function rounded(part: number): number {
  return Math.round(Math.max(0, Math.min(1, part)) * width * 10) / 10;
}

/** Renders a picture whose content has numbers and names of this program alone. */
function svg(label: string, content: string): Html {
  return html`<svg viewBox="${`0 0 ${width} ${height}`}" preserveAspectRatio="none" role="img" aria-label="${label}">${raw(content)}</svg>`;
}

function bar({ status, fromMs, toMs }: Stay, x: (ms: number) => number): string {
  const [from, to] = [x(fromMs), x(toMs)];
  return `<rect class="is-${toneOf(status)}" x="${from}" width="${Math.max(2, to - from)}" height="${height}"/>`;
}

function tick({ startedAtMs, decision }: Attempt, x: (ms: number) => number): string {
  return `<path class="tick ${decision === "delivered" ? "good" : "bad"}" d="M${x(startedAtMs)} 1V${height - 1}"/>`;
}

function toneOf(status: string | null): string {
  return status === null ? "none" : statuses.has(status) ? status : "other";
}

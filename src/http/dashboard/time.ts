import { html } from "hono/html";
import type { Html } from "./dashboard-env.ts";

const units = [
  { name: "d", ms: 86_400_000 },
  { name: "h", ms: 3_600_000 },
  { name: "min", ms: 60_000 },
  { name: "s", ms: 1000 },
];

/** A span as people say it, in its largest unit: `3 min`, `0 s`. */
export function spanText(spanMs: number): string {
  const unit = units.find(({ ms }) => spanMs >= ms) ?? { name: "s", ms: 1000 };
  return `${Math.floor(spanMs / unit.ms)} ${unit.name}`;
}

/** A point in time (ISO 8601, as the API says it) and how far away it is; null: it is not known. */
export function timeOf(iso: string | null, nowMs: number): Html {
  if (iso === null) return html`<span class="quiet">–</span>`;
  const awayMs = Date.parse(iso) - nowMs;
  const away = awayMs > 0 ? `in ${spanText(awayMs)}` : `${spanText(-awayMs)} ago`;
  return html`<time datetime="${iso}">${iso.slice(0, 10)} ${iso.slice(11, 19)}</time> <span class="ago">${away}</span>`;
}

import { html } from "hono/html";
import type { Html } from "./dashboard-env.ts";

/** Matches a quotation, or a time outside of one. */
const apart = /("(?:[^"\\]|\\.)*"|\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z)/;
const units = [
  { name: "d", ms: 86_400_000 },
  { name: "h", ms: 3_600_000 },
  { name: "min", ms: 60_000 },
  { name: "s", ms: 1000 },
];

/** Formats a duration in its largest unit: `3 min`, `0 s`. */
function spanText(spanMs: number): string {
  const unit = units.find(({ ms }) => spanMs >= ms) ?? { name: "s", ms: 1000 };
  return `${Math.floor(spanMs / unit.ms)} ${unit.name}`;
}

/** Renders a time (ISO 8601, as in the API) and its distance from now. */
export function timeOf(iso: string, nowMs: number): Html;
export function timeOf(iso: string | null, nowMs: number): Html | null;
export function timeOf(iso: string | null, nowMs: number): Html | null {
  if (iso === null) return null;
  return html`${clockTime(iso)} <span class="ago">${awayText(iso, nowMs)}</span>`;
}

/**
 * Renders a sentence of the API with its times in the format of the page. Quoted text comes from outside, so its
 * text-direction marks are confined to the quotation.
 */
export function sentence(text: string, nowMs: number): Html {
  return html`${text.split(apart).map((part, index) => {
    if (index % 2 === 0) return part;
    return part.startsWith('"') ? html`<bdi>${part}</bdi>` : html`${clockTime(part)} (${awayText(part, nowMs)})`;
  })}`;
}

function clockTime(iso: string): Html {
  return html`<time datetime="${iso}">${iso.slice(0, 10)} ${iso.slice(11, 19)}</time>`;
}

function awayText(iso: string, nowMs: number): string {
  const awayMs = Date.parse(iso) - nowMs;
  return awayMs > 0 ? `in ${spanText(awayMs)}` : `${spanText(-awayMs)} ago`;
}

/** Formats a duration with the precision of its unit: `120 ms`, `1.2 s`, `3.5 min`. */
export function durationText(durationMs: number): string {
  if (durationMs < 1000) return `${Math.round(durationMs)} ms`;
  const unit = units.find(({ ms }) => durationMs >= ms) ?? { name: "s", ms: 1000 };
  const value = durationMs / unit.ms;
  return `${value < 10 ? rounded(value, 1) : Math.round(value)} ${unit.name}`;
}

/** Formats a number of things per minute. */
export function rateText(rate: number): string {
  return rate >= 10 ? Math.round(rate).toLocaleString("en-US") : String(rounded(rate, rate < 1 ? 2 : 1));
}

/** Formats a percentage. One that is not all is never shown as 100 %. */
export function percentText(percent: number): string {
  return `${percent >= 100 ? 100 : Math.floor(percent * 10) / 10} %`;
}

function rounded(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

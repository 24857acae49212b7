import type { Context } from "hono";
import { html } from "hono/html";
import type { DashboardEnv, Html } from "./dashboard-env.ts";

const texts = {
  "retry-accepted": { isFault: false, text: "One attempt is running now. Reload the page to see its result." },
  "test-delivered": { isFault: false, text: "The test webhook was delivered." },
  "test-failed": {
    isFault: true,
    text: "The test webhook was sent but not delivered. It is the newest delivery below; its page says why.",
  },
  "endpoint-paused": { isFault: false, text: "Paused: nothing is sent until you enable the endpoint again. Pending deliveries are kept." },
  "endpoint-enabled": { isFault: false, text: "Enabled: pending deliveries are sent now, in order." },
  recovered: { isFault: false, text: "Requeued with a new retry schedule." },
  "recovered-nothing": { isFault: true, text: "No delivery in that span has failed, so nothing was requeued." },
  "watch-deleted": { isFault: false, text: "The watch was deleted, so nothing more is sent for it." },
  "watch-erased": { isFault: false, text: "The watch was erased with its events." },
  "hook-removed": { isFault: false, text: "The hook was removed. Deliveries pending for it alone are canceled." },
} as const;

export type NoticeName = keyof typeof texts;

/** Redirects the browser after a form, so that a reload does not repeat the action. */
export function redirectWith(c: Context<DashboardEnv>, path: string, name: NoticeName): Response {
  return c.redirect(`${path}?notice=${name}`, 303);
}

/** Returns the result text of the previous form. The query parameter only selects a text and is never shown itself. */
export function notice(c: Context<DashboardEnv>): Html | "" {
  const name = c.req.query("notice") ?? "";
  if (!Object.hasOwn(texts, name)) return "";
  const { isFault, text } = texts[name as NoticeName];
  return html`<p class="notice ${isFault ? "bad" : "good"}" role="status">${text}</p>`;
}

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
  "endpoint-disabled": {
    isFault: false,
    text: "Disabled: nothing is sent. Deliveries are kept for the retention time, and sent in order once you enable the endpoint again.",
  },
  "endpoint-changed": { isFault: false, text: "The settings were saved. Each attempt from now on uses them." },
  recovered: { isFault: false, text: "Requeued with a new retry schedule. What waited for its schedule is due now." },
  "recovered-nothing": { isFault: true, text: "No delivery in that span has failed or waits for its schedule, so nothing was requeued." },
  "call-placed": { isFault: false, text: "The call was placed and is watched. Reload the page to follow it." },
  "call-running": { isFault: false, text: "The call is being placed. Reload the page to see its watch." },
  "call-unknown": {
    isFault: true,
    text: "The upstream did not say whether the call was placed, so it may ring. It is the newest one below that waits for you.",
  },
  "call-found": { isFault: false, text: "The call has its SID and is watched." },
  "call-silent": { isFault: false, text: "Noted that nothing rang. The Idempotency-Key is free, so the call may be placed again." },
  "watch-registered": { isFault: false, text: "The call is watched." },
  "watch-registered-endpoint": {
    isFault: false,
    text: "The call is watched. The signing secret of the new endpoint is not shown here: the page of the endpoint makes a new one.",
  },
  "watch-existing": { isFault: false, text: "This watch existed before, so nothing was added." },
  "watch-changed": { isFault: false, text: "The watch was changed, for the events that are written from now on." },
  "watch-deleted": { isFault: false, text: "The watch was deleted, so nothing more is sent for it." },
  "watch-erased": { isFault: false, text: "The watch was erased with its events." },
  "hook-created": { isFault: false, text: "The hook is subscribed. Its endpoint signs with the secret that it had before." },
  "hook-created-endpoint": {
    isFault: false,
    text: "The hook is subscribed. Its new endpoint has a signing secret, which a portal does not show: it takes an API key to make a new one.",
  },
  "hook-existing": { isFault: false, text: "This hook existed before, so nothing was added." },
  "key-revoked": { isFault: false, text: "The key was revoked. Every instance refuses it within 5 s." },
  "link-revoked": { isFault: false, text: "The link has ended, and its session with it." },
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

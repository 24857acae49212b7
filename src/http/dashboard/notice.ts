import type { Context } from "hono";
import { html } from "hono/html";
import type { DashboardEnv, Html } from "./dashboard-env.ts";

const texts = {
  "retry-accepted": { isFault: false, text: "One attempt is being made now. Load the page again to see what came of it." },
  "test-delivered": { isFault: false, text: "The test webhook was delivered." },
  "test-failed": {
    isFault: true,
    text: "The test webhook was sent but not delivered. It is the newest delivery below; its page says why.",
  },
  "endpoint-paused": { isFault: false, text: "Paused: nothing is sent until you enable it again. What is owed is kept." },
  "endpoint-enabled": { isFault: false, text: "Enabled: what is owed is sent now, in order." },
  recovered: { isFault: false, text: "Owed again, with a fresh retry schedule." },
  "recovered-nothing": { isFault: true, text: "Nothing in that span was given up: there was nothing to recover." },
  "watch-deleted": { isFault: false, text: "The watch was deleted: nothing more is sent for it." },
  "watch-erased": { isFault: false, text: "The watch was erased with its events." },
  "hook-removed": { isFault: false, text: "The hook was removed. What was owed to it alone is canceled." },
} as const;

export type NoticeName = keyof typeof texts;

/** Sends the browser on after a form was carried out, so that loading the page again does not do it again. */
export function redirectWith(c: Context<DashboardEnv>, path: string, name: NoticeName): Response {
  return c.redirect(`${path}?notice=${name}`, 303);
}

/** What the form before this page came to. The address only names a text: nothing of it is shown. */
export function notice(c: Context<DashboardEnv>): Html | "" {
  const name = c.req.query("notice") ?? "";
  if (!Object.hasOwn(texts, name)) return "";
  const { isFault, text } = texts[name as NoticeName];
  return html`<p class="notice ${isFault ? "bad" : "good"}" role="status">${text}</p>`;
}

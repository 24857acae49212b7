import { html } from "hono/html";
import type { Html } from "../dashboard-env.ts";

/** Renders a part of a page that the script keeps up to date. It has no form, because a form may hold what is being typed. */
export function livePart(name: string, content: Html | readonly Html[]): Html {
  return html`<div id="${`live-${name}`}" data-live="">${content}</div>`;
}

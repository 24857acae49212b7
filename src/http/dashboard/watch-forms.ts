import type { Context, Hono } from "hono";
import { html } from "hono/html";
import { callSidMaxLength } from "../../domain/calls/call.ts";
import { actorOf } from "../operations/actor.ts";
import type { HttpDependencies } from "../operations/dependencies.ts";
import { checkBody } from "../operations/operation.ts";
import { refusalError } from "../operations/refusal.ts";
import { traceOf } from "../operations/request-guards.ts";
import { watchRequestOf, watchRequestSchema } from "../schemas/watch-request.ts";
import type { DashboardEnv, Html } from "./dashboard-env.ts";
import { optionsOf, pathOf } from "./elements.ts";
import { actionForm, mayUse } from "./form.ts";
import { pairsOf, textOf } from "./forms/given.ts";
import { redirectWith } from "./notice.ts";
import { needsScope } from "./session/scope-guard.ts";

const listPath = "/dashboard/watches";

/** How metadata is typed. */
export const metadataLines = { separator: "=", example: "lead_id=00Q5g000" };
/** Renders the form that adds a watch; nothing if the session's key may not. */
export function watchForms(c: Context<DashboardEnv>, { live }: Pick<HttpDependencies, "live">): Html {
  const account = c.get("account");
  const sources = live.sources(account).map(({ name }) => name);
  return html`${mayUse(c, "watch") ? html`<h2>Register a watch</h2>` : ""}
  ${actionForm(c, {
    scope: "watch",
    action: listPath,
    label: "Register the watch",
    fields: html`<div class="stacked">
      ${field("call_sid", "SID of the call", html`<input id="call_sid_new" name="call_sid" required maxlength="${callSidMaxLength}" />`)}
      ${field(
        "source",
        "Source",
        html`<select id="source_new" name="source">
          ${optionsOf(sources, live.impliedSourceName(account))}
        </select>`,
      )}
      ${field("callback_url", "Callback URL, or none", html`<input id="callback_url_new" name="callback_url" maxlength="2048" />`)}
      ${field("metadata", "Metadata, one pair a line: lead_id=00Q5g000", html`<textarea id="metadata_new" name="metadata" rows="2"></textarea>`)}
    </div>`,
  })}`;
}

function field(id: string, label: string, control: Html): Html {
  return html`<label for="${`${id}_new`}">${label}</label> ${control}`;
}

/** Action of the form that adds a watch. */
export function addWatchForms(dashboard: Hono<DashboardEnv>, dependencies: HttpDependencies): void {
  const { registration } = dependencies;

  dashboard.post("/watches", needsScope("watch"), async (c) => {
    const body = checkBody(watchRequestSchema, {
      call_sid: textOf(c, "call_sid"),
      source: textOf(c, "source"),
      callback_url: textOf(c, "callback_url") ?? null,
      metadata: pairsOf(c, "metadata", metadataLines),
    });
    const outcome = await registration.registerWatch(c.get("account"), watchRequestOf(body, traceOf(c)), null, actorOf(c, "dashboard"));
    if (outcome.kind === "key_taken") throw new Error("a form without a key has no earlier use of it");
    if (!("view" in outcome)) throw refusalError(outcome);
    const path = pathOf("watches", outcome.view.watch.id);
    if (outcome.kind === "existing") return redirectWith(c, path, "watch-existing");
    return redirectWith(c, path, outcome.signingSecret === null ? "watch-registered" : "watch-registered-endpoint");
  });
}

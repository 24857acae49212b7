import type { Context, Hono } from "hono";
import { html } from "hono/html";
import { callSidMaxLength } from "../../domain/calls/call.ts";
import { actorOf } from "../operations/actor.ts";
import type { HttpDependencies } from "../operations/dependencies.ts";
import { checkBody } from "../operations/operation.ts";
import { refusalError } from "../operations/refusal.ts";
import { traceOf } from "../operations/request-guards.ts";
import { watchRequestOf, watchRequestSchema } from "../schemas/watch-request.ts";
import type { DashboardEnv } from "./dashboard-env.ts";
import { pathOf } from "./elements.ts";
import { actionForm } from "./form.ts";
import { areaField, selectField, textField } from "./forms/controls.ts";
import { textOf, typedIn } from "./forms/given.ts";
import { metadataIn } from "./forms/metadata.ts";
import { faultsOf, orShownAgain, problemBox } from "./forms/shown-again.ts";
import { redirectWith } from "./notice.ts";
import { page } from "./page.ts";
import type { PageProblem } from "./page-error.ts";
import { needsScope } from "./session/scope-guard.ts";

const listPath = "/dashboard/watches";

/** Page of the form that adds a watch, and its action. */
export function addWatchForms(dashboard: Hono<DashboardEnv>, { registration, live }: HttpDependencies): void {
  const show = (c: Context<DashboardEnv>, problem: PageProblem | null = null) => {
    const account = c.get("account");
    const sources = live.sources(account).map(({ name }) => name);
    const faults = (name: string) => faultsOf(problem, name);
    return page(
      c,
      {
        title: "Register a watch",
        body: html`<h1>Register a watch</h1>
          ${problemBox(problem)}
          <p class="quiet">
            A watch follows one call to its end. Its events are sent to the callback URL, and to the hooks of the account.
          </p>
          ${actionForm(c, {
            scope: "watch",
            action: listPath,
            label: "Register the watch",
            isMain: true,
            fields: html`<div class="stacked wide">
              ${textField({
                name: "call_sid",
                label: "SID of the call",
                required: true,
                maxLength: callSidMaxLength,
                value: typedIn(c, "call_sid"),
                faults: faults("call_sid"),
              })}
              ${selectField({
                name: "source",
                label: "Source",
                choices: sources,
                chosen: typedIn(c, "source", live.impliedSourceName(account)),
                faults: faults("source"),
              })}
              ${textField({
                name: "callback_url",
                label: "Callback URL, or none",
                value: typedIn(c, "callback_url"),
                faults: faults("callback_url"),
              })}
              ${areaField({
                name: "metadata",
                label: "Metadata, one pair a line: lead_id=00Q5g000",
                value: typedIn(c, "metadata"),
                faults: faults("metadata"),
              })}
            </div>`,
          })}
          <p><a href="${listPath}">Cancel</a></p>`,
      },
      problem,
    );
  };

  dashboard.get("/watches/new", needsScope("watch"), (c) => show(c));

  dashboard.post("/watches", needsScope("watch"), (c) =>
    orShownAgain(
      async () => {
        const body = checkBody(watchRequestSchema, {
          call_sid: textOf(c, "call_sid"),
          source: textOf(c, "source"),
          callback_url: textOf(c, "callback_url") ?? null,
          metadata: metadataIn(c),
        });
        const outcome = await registration.registerWatch(c.get("account"), watchRequestOf(body, traceOf(c)), null, actorOf(c, "dashboard"));
        if (outcome.kind === "key_taken") throw new Error("a form without a key has no earlier use of it");
        if (!("view" in outcome)) throw refusalError(outcome);
        const path = pathOf("watches", outcome.view.watch.id);
        if (outcome.kind === "existing") return redirectWith(c, path, "watch-existing");
        return redirectWith(c, path, outcome.signingSecret === null ? "watch-registered" : "watch-registered-endpoint");
      },
      (problem) => show(c, problem),
    ),
  );
}

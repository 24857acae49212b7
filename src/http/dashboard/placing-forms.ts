import { createHash } from "node:crypto";
import type { Context, Hono } from "hono";
import { html } from "hono/html";
import { sandboxScenarios, sandboxSourceName } from "../../domain/sources/sandbox.ts";
import type { IdempotencyKeyInUse } from "../../ports/use-cases/idempotency.ts";
import { actorOf } from "../operations/actor.ts";
import type { HttpDependencies } from "../operations/dependencies.ts";
import { inUseError, keyRequired } from "../operations/idempotency.ts";
import { checkBody } from "../operations/operation.ts";
import { placeAnswerOf, storedPlaceAnswer } from "../operations/placing-answer.ts";
import { traceOf } from "../operations/request-guards.ts";
import { placeRequestOf, placeRequestSchema } from "../schemas/watch-request.ts";
import type { DashboardEnv, Html } from "./dashboard-env.ts";
import { pathOf } from "./elements.ts";
import { actionForm, mayUse } from "./form.ts";
import { areaField, selectField, textField } from "./forms/controls.ts";
import { formKeyField, formKeyOf } from "./forms/form-key.ts";
import { jsonOf, textOf, typedIn } from "./forms/given.ts";
import { metadataIn } from "./forms/metadata.ts";
import { faultsOf, orShownAgain } from "./forms/shown-again.ts";
import { redirectWith } from "./notice.ts";
import type { PageProblem } from "./page-error.ts";
import { needsScope } from "./session/scope-guard.ts";

const path = "/dashboard/calls";

/** A `call` to start from, by the kind of its source. */
const calls: Readonly<Record<string, string>> = {
  "polyai-legacy": '{ "to_number": "+44" }',
  "polyai-agents": '{ "toNumber": "+44" }',
};

/** Renders the forms that place a call, as far as the scopes of the session's key and the rights of its account go. */
export function placingForms(c: Context<DashboardEnv>, { live }: Pick<HttpDependencies, "live">, problem: PageProblem | null): Html | "" {
  if (!mayUse(c, "place")) return "";
  const account = c.get("account");
  const isSandbox = typedIn(c, "scenario") !== "";
  const sources = live.sources(account).filter(({ name }) => name !== sandboxSourceName);
  return html`<h2>Place a call</h2>
    ${
      account.placing.mayPlace && sources.length > 0
        ? realForm(c, sources, { implied: live.impliedSourceName(account), problem: isSandbox ? null : problem })
        : html`<p class="quiet">
            ${
              sources.length === 0
                ? "This account has no source but the sandbox: the operator sets one."
                : "This account may place calls of the sandbox alone: the operator allows others by account set --may-place."
            }
          </p>`
    }
    <h2>Place a sandbox call</h2>
    ${actionForm(c, {
      scope: "place",
      action: path,
      label: "Place the sandbox call",
      fields: html`<p class="quiet">Plays a scripted call inside the service. No telephone rings.</p>
        ${formKeyField()}
        <div class="stacked">
          ${selectField({
            name: "scenario",
            id: "scenario_new",
            label: "Scenario",
            choices: sandboxScenarios,
            chosen: typedIn(c, "scenario", sandboxScenarios[0]),
            faults: isSandbox ? faultsOf(problem, "scenario", "/call/scenario") : [],
          })}
          ${textField({
            name: "callback_url",
            id: "place_callback_url_new",
            label: "Callback URL of the sandbox call, or none",
            value: isSandbox ? typedIn(c, "callback_url") : "",
            faults: isSandbox ? faultsOf(problem, "callback_url") : [],
          })}
        </div>`,
    })}`;
}

function realForm(
  c: Context<DashboardEnv>,
  sources: readonly { readonly name: string; readonly kind: string }[],
  { implied, problem }: { readonly implied: string; readonly problem: PageProblem | null },
): Html {
  const kind = sources.find(({ name }) => name === implied)?.kind ?? "";
  return actionForm(c, {
    scope: "place",
    action: path,
    label: "Place the call",
    danger: true,
    fields: html`<p class="quiet">A telephone rings. A second click does not place a second call.</p>
      ${formKeyField()}
      <div class="stacked wide">
        ${selectField({
          name: "source",
          label: "Source",
          choices: sources.map(({ name }) => name),
          chosen: typedIn(c, "source", implied),
          faults: faultsOf(problem, "source"),
        })}
        ${areaField({
          name: "call",
          label: "Call, as the upstream takes it (JSON)",
          hint: html`The number is <code>to_number</code> with PolyAI, <code>toNumber</code> with its agents; another source says its own
            keys.`,
          value: typedIn(c, "call", calls[kind] ?? "{}"),
          rows: 4,
          required: true,
          faults: faultsOf(problem, "call"),
        })}
        ${textField({
          name: "callback_url",
          label: "Callback URL, or none",
          value: typedIn(c, "scenario") === "" ? typedIn(c, "callback_url") : "",
          faults: faultsOf(problem, "callback_url"),
        })}
        ${areaField({
          name: "metadata",
          label: "Metadata, one pair a line: lead_id=00Q5g000",
          value: typedIn(c, "metadata"),
          rows: 2,
          faults: faultsOf(problem, "metadata"),
        })}
      </div>`,
  });
}

/** Action of the forms that place a call. `show` shows their page again. */
export function addPlacingForms(
  dashboard: Hono<DashboardEnv>,
  dependencies: HttpDependencies,
  show: (c: Context<DashboardEnv>, problem: PageProblem) => Response | Promise<Response>,
): void {
  const { placing } = dependencies;
  dashboard.post("/calls", needsScope("place"), (c) =>
    orShownAgain(
      async () => {
        const key = formKeyOf(c);
        if (key === null) throw keyRequired();
        const body = bodyOf(c);
        const request = placeRequestOf(checkBody(placeRequestSchema, body), traceOf(c));
        const bodyHash = createHash("sha256").update(JSON.stringify(body)).digest("base64url");
        const taken = await placing.take({ accountId: c.get("account").id, method: "POST", path, key, bodyHash });
        if (taken.kind === "key_taken") return placedBefore(c, taken);
        using held = taken;
        const answerOf = storedPlaceAnswer(dependencies);
        const outcome = await placing.place(c.get("account"), request, { request: held.request, answerOf }, actorOf(c, "dashboard"));
        if (outcome.kind === "key_taken") return placedBefore(c, outcome);
        if (outcome.kind === "call_unknown") return redirectWith(c, path, "call-unknown");
        return redirectWith(c, pathOf("watches", placeAnswerOf(outcome, dependencies).body.id), "call-placed");
      },
      (problem) => show(c, problem),
    ),
  );
}

function bodyOf(c: Context<DashboardEnv>) {
  const scenario = textOf(c, "scenario");
  const callbackUrl = textOf(c, "callback_url") ?? null;
  if (scenario !== undefined) return { call: { scenario }, source: sandboxSourceName, callback_url: callbackUrl };
  return {
    call: jsonOf(c, "call"),
    source: textOf(c, "source"),
    callback_url: callbackUrl,
    metadata: metadataIn(c),
  };
}

/** Answers a form that was sent before: the second click of two leads where the first one does. */
function placedBefore(c: Context<DashboardEnv>, taken: IdempotencyKeyInUse): Response {
  if (taken.by === "running") return redirectWith(c, path, "call-running");
  if (taken.by === "call_unknown") return redirectWith(c, path, "call-unknown");
  if (taken.by !== "same_request") throw inUseError(taken);
  const { id } = JSON.parse(taken.answer.body) as { readonly id: string };
  return redirectWith(c, pathOf("watches", id), "call-placed");
}

import type { Context, Hono } from "hono";
import { html } from "hono/html";
import { hookFilterNames } from "../../../domain/events/event-filter.ts";
import { endpointFormats } from "../../../domain/webhooks/webhook-content.ts";
import type { HookOutcome } from "../../../ports/use-cases/registration.ts";
import { actorOf } from "../../operations/actor.ts";
import type { HttpDependencies } from "../../operations/dependencies.ts";
import { checkBody, invalidBody } from "../../operations/operation.ts";
import { unprocessable } from "../../operations/problem.ts";
import { refusalError } from "../../operations/refusal.ts";
import { hookRequestOf, hookRequestSchema } from "../../schemas/hook-request.ts";
import type { DashboardEnv, Html } from "../dashboard-env.ts";
import { definitionList, linkTo } from "../elements.ts";
import { actionForm } from "../form.ts";
import { areaField, checkGroup, selectField, textField } from "../forms/controls.ts";
import { formKeyField, onceFor } from "../forms/form-key.ts";
import { linesOf, pairsOf, textOf, tickedIn, typedIn } from "../forms/given.ts";
import { signingSecretField } from "../forms/signing-secret-field.ts";
import { faultsOf, orShownAgain, problemBox } from "../forms/shown-again.ts";
import { redirectWith } from "../notice.ts";
import { page } from "../page.ts";
import type { PageProblem } from "../page-error.ts";
import { refusedForm } from "../page-error.ts";
import { isPortalSession, needsScope } from "../session/scope-guard.ts";
import { headerLines } from "./endpoint-edit-page.ts";

const listPath = "/dashboard/hooks";
/** A condition as it is typed: a field, how it is compared, and a text. */
const conditionLine = /^(\S+)\s+(is one of|is not|is|begins with)(?:\s+(.*))?$/;
const formats = endpointFormats.filter((format) => format !== "template");

function show(c: Context<DashboardEnv>, problem: PageProblem | null = null): Response | Promise<Response> {
  return page(
    c,
    {
      title: "Subscribe a hook",
      body: html`<h1>Subscribe a hook</h1>
        ${problemBox(problem)}
        <p class="quiet">A hook is sent the events of every call of the account that its filter names, each once.</p>
        ${hookForm(c, problem)}
        <p><a href="${listPath}">Cancel</a></p>`,
    },
    problem,
  );
}

/** Pages that subscribe a hook. */
export function addHookForm(dashboard: Hono<DashboardEnv>, { registration, idempotency }: HttpDependencies): void {
  dashboard.get("/hooks/new", needsScope("endpoints"), (c) => show(c));

  dashboard.post("/hooks", needsScope("endpoints"), (c) =>
    orShownAgain(
      async () => {
        const { request } = hookRequestOf(checkBody(hookRequestSchema, bodyOf(c)));
        const by = actorOf(c, "dashboard");
        const { kind, secret, ...hook } = await onceFor(
          c,
          idempotency,
          (keyed) => registration.registerHook(c.get("account"), request, keyed, by),
          shownOf,
        );
        if (kind === "existing") return redirectWith(c, listPath, "hook-existing");
        if (secret === null) return redirectWith(c, listPath, "hook-created");
        if (isPortalSession(c)) return redirectWith(c, listPath, "hook-created-endpoint");
        return page(c, { title: "Hook subscribed", body: secretPage(secret, hook) });
      },
      (problem) => show(c, problem),
    ),
  );
}

function shownOf(outcome: HookOutcome) {
  if (!("view" in outcome)) throw refusalError(outcome);
  const { id, url, endpoint } = outcome.view;
  return { kind: outcome.kind, secret: outcome.secret, id, url, endpointId: endpoint.id };
}

function secretPage(
  secret: string,
  { id, url, endpointId }: { readonly id: string; readonly url: string; readonly endpointId: string },
): Html {
  return html`<h1>Hook subscribed</h1>
    <p class="notice good" role="status">Copy the secret now and give it to the receiver: it is shown only here.</p>
    ${definitionList([
      ["Signing secret", html`<code class="secret">${secret}</code>`],
      ["URL", url],
      ["Hook", html`<code>${id}</code>`],
      ["Endpoint", linkTo("endpoints", endpointId)],
    ])}
    <p><a href="${listPath}">All hooks</a></p>`;
}

function bodyOf(c: Context<DashboardEnv>) {
  const url = textOf(c, "url");
  if (url === undefined) throw invalidBody("/url", "is required");
  const events = tickedIn(c, "events");
  const where = conditionsOf(c);
  const headers = pairsOf(c, "headers", headerLines);
  const secret = textOf(c, "signing_secret");
  if (isPortalSession(c) && (Object.keys(headers).length > 0 || secret !== undefined))
    throw refusedForm("a portal sets no secrets and no headers: sign in with an API key");
  return {
    url,
    ...(events.length === 0 ? {} : { events }),
    ...(Object.keys(where).length === 0 ? {} : { where }),
    ...(Object.keys(headers).length === 0 ? {} : { headers }),
    ...(secret === undefined ? {} : { signing_secret: secret }),
    format: textOf(c, "format"),
  };
}

/** Reads conditions, one a line, as the API spells them. */
function conditionsOf(c: Context<DashboardEnv>): Readonly<Record<string, unknown>> {
  const where = new Map<string, unknown>();
  for (const line of linesOf(c, "where")) {
    const [, field = "", verb, text = ""] = conditionLine.exec(line) ?? [];
    if (verb === undefined) throw whereFault(`${JSON.stringify(line)} is not a condition: write one a line, as in status is failure`);
    if (where.has(field)) throw whereFault(`has ${field} more than once`);
    where.set(field, testOf(verb, text));
  }
  return Object.fromEntries(where);
}

function whereFault(detail: string) {
  return unprocessable([{ parameter: "where", detail }]);
}

function testOf(verb: string, text: string): unknown {
  if (verb === "is one of") return { in: text.split(",").map((part) => part.trim()) };
  if (verb === "is not") return { not: text };
  return verb === "is" ? text : { prefix: text };
}

function hookForm(c: Context<DashboardEnv>, problem: PageProblem | null): Html {
  const faults = (name: string) => faultsOf(problem, name);
  return actionForm(c, {
    scope: "endpoints",
    action: listPath,
    label: "Subscribe the hook",
    fields: html`${formKeyField()}
      <div class="stacked wide">
        ${textField({ name: "url", label: "URL", hint: "A public address, https.", required: true, value: typedIn(c, "url"), faults: faults("url") })}
        ${checkGroup({
          name: "events",
          legend: "Events; every event about a call or watch if none is ticked",
          choices: hookFilterNames.map((name) => [name, name] as const),
          checked: tickedIn(c, "events"),
          areShort: true,
          faults: faults("events"),
        })}
        ${areaField({
          name: "where",
          label: "Conditions that must all hold, one a line",
          hint: html`Fields are source, status, reason and metadata.&lt;key&gt;: <code>status is failure</code>,
            <code>metadata.team is one of north, south</code>, <code>reason begins with max</code>, <code>source is not default</code>.`,
          value: typedIn(c, "where"),
          faults: faults("where"),
        })}
        ${selectField({ name: "format", label: "Format", choices: formats, chosen: typedIn(c, "format", "flat"), faults: faults("format") })}
        ${
          isPortalSession(c)
            ? ""
            : html`${areaField({
                name: "headers",
                label: "Headers, one a line: x-api-key: s3cret",
                hint: "For a new endpoint. Values are never shown again.",
                faults: faults("headers"),
              })}
              ${signingSecretField(faults("signing_secret"), true)}`
        }
      </div>`,
  });
}

import type { Context, Hono } from "hono";
import { html } from "hono/html";
import { templateMethods } from "../../../domain/webhooks/request-template.ts";
import { endpointFormats } from "../../../domain/webhooks/webhook-content.ts";
import type { EndpointView } from "../../../ports/stores/read-store.ts";
import { actorOf } from "../../operations/actor.ts";
import type { HttpDependencies } from "../../operations/dependencies.ts";
import { checkBody } from "../../operations/operation.ts";
import { notFound } from "../../operations/problem.ts";
import { previewOf } from "../../operations/template-preview.ts";
import { endpointChangeOf, endpointPatchSchema } from "../../schemas/endpoint-change.ts";
import { templateJson } from "../../schemas/request-template.ts";
import { previewRequestSchema } from "../../schemas/template-preview.ts";
import type { DashboardEnv, Html } from "../dashboard-env.ts";
import { linkTo, longText, pathOf, preformatted } from "../elements.ts";
import { actionForm } from "../form.ts";
import { areaField, checkField, selectField, textField } from "../forms/controls.ts";
import { jsonOf, numberOf, pairsOf, textOf, tickedIn, typedIn } from "../forms/given.ts";
import { faultsOf, orShownAgain, problemBox } from "../forms/shown-again.ts";
import { redirectWith } from "../notice.ts";
import { page } from "../page.ts";
import type { PageProblem } from "../page-error.ts";
import { refusedForm } from "../page-error.ts";
import { isPortalSession, needsScope } from "../session/scope-guard.ts";

type Preview = Awaited<ReturnType<typeof previewOf>>["request"];
type Faults = (name: string, pointer?: string) => readonly string[];
type Shown = { readonly problem?: PageProblem; readonly preview?: Preview };

/** Notation in which the headers of an endpoint are typed. */
export const headerLines = { separator: ":", example: "x-api-key: s3cret" };

/** Page that changes the settings of an endpoint, with a preview of what it would be sent. */
export function addEndpointEditPages(dashboard: Hono<DashboardEnv>, dependencies: HttpDependencies): void {
  const { store, endpointSettings } = dependencies;
  const show = async (c: Context<DashboardEnv>, { problem, preview }: Shown = {}) => {
    const view = await store.getEndpoint(c.get("account").id, c.req.param("id") ?? "");
    if (view === null) throw notFound("endpoint");
    const { id, url } = view.endpoint;
    return page(
      c,
      {
        title: "Change an endpoint",
        body: html`<h1>Change an endpoint</h1>
          <p>${linkTo("endpoints", id, longText(url))}</p>
          ${problemBox(problem ?? null)} ${preview === undefined ? "" : previewSection(preview)} ${settingsForm(c, view, problem ?? null)}
          <p><a href="${pathOf("endpoints", id)}">Cancel</a></p>`,
      },
      problem,
    );
  };

  dashboard.get("/endpoints/:id/edit", needsScope("endpoints"), (c) => show(c));

  dashboard.post("/endpoints/:id/edit", needsScope("endpoints"), (c) =>
    orShownAgain(
      async () => {
        const id = c.req.param("id");
        const change = endpointChangeOf(checkBody(endpointPatchSchema, bodyOf(c)));
        if ((await endpointSettings.patch(c.get("account"), id, change, actorOf(c, "dashboard"))) === null) throw notFound("endpoint");
        return redirectWith(c, pathOf("endpoints", id), "endpoint-changed");
      },
      (problem) => show(c, { problem }),
    ),
  );

  dashboard.post("/endpoints/:id/preview", needsScope("endpoints"), (c) =>
    orShownAgain(
      async () => {
        const body = checkBody(previewRequestSchema, { ...contentOf(c), event_id: textOf(c, "event_id") });
        return show(c, { preview: (await previewOf(dependencies, c.get("account").id, body)).request });
      },
      (problem) => show(c, { problem }),
    ),
  );
}

/** Returns the format, or the template if that is chosen. */
function contentOf(c: Context<DashboardEnv>) {
  const format = textOf(c, "format");
  if (format !== "template") return { format };
  return { request: { method: textOf(c, "method"), content_type: textOf(c, "content_type"), body: templateBodyOf(c) } };
}

/** Reads the body of a template: JSON, or with a content type of text what was typed. */
function templateBodyOf(c: Context<DashboardEnv>): unknown {
  const isText = textOf(c, "content_type")?.toLowerCase().startsWith("text/") === true;
  return isText ? c.get("form").get("body")?.replaceAll("\r\n", "\n") : jsonOf(c, "body");
}

function bodyOf(c: Context<DashboardEnv>) {
  const headers = headersOf(c);
  return {
    ...contentOf(c),
    ...(headers === null ? {} : { headers }),
    late: textOf(c, "late"),
    signatures: ["v1", ...tickedIn(c, "v1a")],
    max_in_flight: numberOf(c, "max_in_flight"),
    max_per_second: numberOf(c, "max_per_second") ?? null,
  };
}

/** Returns the headers that replace all present ones; `null` to keep those. */
function headersOf(c: Context<DashboardEnv>): Readonly<Record<string, string>> | null {
  const given = pairsOf(c, "headers", headerLines);
  const isRemoval = c.get("form").get("no_headers") === "true";
  if (Object.keys(given).length === 0 && !isRemoval) return null;
  if (isPortalSession(c)) throw refusedForm("a portal sets no headers, because they may hold secrets: sign in with an API key");
  return isRemoval ? {} : given;
}

function previewSection({ method, content_type: contentType, body }: Preview): Html {
  return html`<section aria-label="Preview">
    <h2>Preview</h2>
    <p class="quiet">Not saved. Byte for byte what would be sent and signed: <code>${method}</code> with <code>${contentType}</code>.</p>
    ${preformatted(body)}
  </section>`;
}

function settingsForm(c: Context<DashboardEnv>, { endpoint }: EndpointView, problem: PageProblem | null): Html {
  const faults = (name: string, pointer?: string) => faultsOf(problem, name, pointer);
  const path = pathOf("endpoints", endpoint.id);
  return actionForm(c, {
    scope: "endpoints",
    action: `${path}/edit`,
    label: "Save",
    more: html`<button type="submit" class="plain" formaction="${`${path}/preview`}">Preview what would be sent</button>`,
    fields: html`<div class="stacked wide">
      ${contentFields(c, endpoint, faults)}
      ${selectField({
        name: "late",
        label: "An earlier event after a later one was delivered",
        choices: [
          ["send", "is still sent"],
          ["drop", "is dropped"],
        ],
        chosen: typedIn(c, "late", endpoint.late),
        faults: faults("late"),
      })}
      ${checkField({
        name: "v1a",
        value: "v1a",
        label: "Sign by ed25519 too (v1a)",
        checked: tickedIn(c, "v1a", endpoint.signatures).includes("v1a"),
      })}
      ${textField({
        name: "max_in_flight",
        label: "Most webhooks in flight, 1 to 1000",
        hint: "Left as it is if empty.",
        maxLength: 8,
        value: typedIn(c, "max_in_flight", endpoint.maxInFlight === null ? "" : String(endpoint.maxInFlight)),
        faults: faults("max_in_flight"),
      })}
      ${textField({
        name: "max_per_second",
        label: "Most webhooks a second, 0.1 to 10000",
        hint: "No limit if empty.",
        maxLength: 8,
        value: typedIn(c, "max_per_second", endpoint.maxPerSecond === null ? "" : String(endpoint.maxPerSecond)),
        faults: faults("max_per_second"),
      })}
      ${isPortalSession(c) ? "" : headerFields(endpoint.headerNames, faults("headers"))}
    </div>`,
  });
}

function contentFields(c: Context<DashboardEnv>, endpoint: EndpointView["endpoint"], faults: Faults): Html {
  const template = templateJson(endpoint.request);
  const body = template === null ? "" : typeof template.body === "string" ? template.body : JSON.stringify(template.body, null, 2);
  return html`${selectField({ name: "format", label: "Format", choices: endpointFormats, chosen: typedIn(c, "format", endpoint.format), faults: faults("format") })}
    <fieldset>
      <legend>Template, for the format template</legend>
      ${selectField({ name: "method", label: "Method", choices: templateMethods, chosen: typedIn(c, "method", template?.method ?? "POST"), faults: faults("method", "/request/method") })}
      ${textField({
        name: "content_type",
        label: "Content type",
        hint: "Of JSON or text. application/json if empty.",
        maxLength: 100,
        value: typedIn(c, "content_type", template?.content_type ?? ""),
        faults: faults("content_type", "/request/content_type"),
      })}
      ${areaField({
        name: "body",
        label: "Body",
        hint: html`JSON, or one text with a content type of text. Strings may hold placeholders, as in
          <code>${"{{data.metadata.lead_id}}"}</code>.`,
        value: typedIn(c, "body", body),
        faults: faults("body", "/request/body"),
        rows: 8,
      })}
      ${textField({
        name: "event_id",
        label: "Event of the preview",
        hint: "The newest one of the account if empty, or a made-up one.",
        maxLength: 70,
        value: typedIn(c, "event_id"),
        faults: faults("event_id"),
      })}
    </fieldset>`;
}

function headerFields(names: readonly string[], faults: readonly string[]): Html {
  return html`${areaField({
    name: "headers",
    label: "Headers, one a line: x-api-key: s3cret",
    hint: html`They replace ${names.length === 0 ? "none: there are none yet" : html`all present ones (<code>${names.join(", ")}</code>)`}.
    Kept as they are if empty. Values are never shown again.`,
    faults,
  })}
  ${names.length === 0 ? "" : checkField({ name: "no_headers", label: "Remove all headers" })}`;
}

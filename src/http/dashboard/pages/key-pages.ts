import type { Context, Hono } from "hono";
import { html } from "hono/html";
import { hasEnded, sortedScopes } from "../../../domain/secrets/key-scopes.ts";
import type { KeyScope } from "../../../domain/secrets/key-scopes.ts";
import type { ApiKeyView } from "../../../ports/stores/account-store.ts";
import { actorOf } from "../../operations/actor.ts";
import type { HttpDependencies } from "../../operations/dependencies.ts";
import { createdKeyOf, keyRequestOf } from "../../operations/key-answer.ts";
import { checkBody } from "../../operations/operation.ts";
import { notFound } from "../../operations/problem.ts";
import { keyRequestSchema, listedKeyJson } from "../../schemas/keys.ts";
import { csvAnswer } from "../csv.ts";
import type { CsvList } from "../csv.ts";
import type { DashboardEnv, Html } from "../dashboard-env.ts";
import { badge, csvLink, definitionList, pager, table } from "../elements.ts";
import { actionForm } from "../form.ts";
import { checkGroup, textField } from "../forms/controls.ts";
import { formKeyField, onceFor } from "../forms/form-key.ts";
import { inputTime, textOf, tickedIn, timeIn, typedIn } from "../forms/given.ts";
import { faultsOf, orShownAgain, problemBox } from "../forms/shown-again.ts";
import { notice, redirectWith } from "../notice.ts";
import { page } from "../page.ts";
import type { PageProblem } from "../page-error.ts";
import { cursorOnly, readParameters } from "../query.ts";
import { needsScope } from "../session/scope-guard.ts";
import { timeOf } from "../time.ts";

const path = "/dashboard/keys";
const pageSize = 25;
const csvColumns = ["id", "name", "scopes", "created_at", "expires_at", "last_used_at", "revoked_at"];
const scopeTexts: Readonly<Record<KeyScope, string>> = {
  read: "read: everything but keys, portal links and audit",
  watch: "watch: watches",
  place: "place: placing calls, resolving placings",
  endpoints: "endpoints: hooks, endpoints, secrets, tests, retries, recovery",
  admin: "admin: keys, portal links, audit",
};

/** Pages of the account's API keys: list, creation, revocation. A key itself is shown once, by the form that creates it. */
export function addKeyPages(dashboard: Hono<DashboardEnv>, { keys, store, idempotency, clock }: HttpDependencies): void {
  const show = async (c: Context<DashboardEnv>, problem: PageProblem | null = null) => {
    const { cursor } = readParameters(c, cursorOnly);
    const { data, nextCursor } = await store.pageKeys({ accountId: c.get("account").id, limit: pageSize, cursor: cursor ?? null });
    return page(
      c,
      {
        title: "Keys",
        body: html`<h1>API keys</h1>
          ${notice(c)} ${problemBox(problem)}
          <p class="quiet">A session of the dashboard can do what its key can, and ends with it.</p>
          ${keyTable(c, data, clock.nowMs())} ${pager(path, {}, { cursor, nextCursor })} ${csvLink(path, {})}
          <h2>Create a key</h2>
          ${creationForm(c, problem)}`,
      },
      problem,
    );
  };

  dashboard.get("/keys", needsScope("admin"), (c) => show(c));

  dashboard.get("/keys.csv", needsScope("admin"), (c) => {
    const { cursor } = readParameters(c, cursorOnly);
    const accountId = c.get("account").id;
    const list: CsvList<ApiKeyView> = {
      name: "keys",
      columns: csvColumns,
      read: (page) => store.pageKeys({ ...page, accountId }),
      json: listedKeyJson,
    };
    return csvAnswer(c, list, cursor ?? null);
  });

  dashboard.post("/keys", needsScope("admin"), (c) =>
    orShownAgain(
      async () => {
        const expiresAtMs = timeIn(c, "expires_at");
        const body = checkBody(keyRequestSchema, {
          name: textOf(c, "name"),
          scopes: tickedIn(c, "scopes"),
          expires_at: expiresAtMs === undefined ? null : new Date(expiresAtMs).toISOString(),
        });
        const request = keyRequestOf(body, clock.nowMs());
        const by = actorOf(c, "dashboard");
        const shown = await onceFor(
          c,
          idempotency,
          (keyed) => keys.create(c.get("account"), c.get("key"), request, keyed, by),
          createdKeyOf,
        );
        return page(c, {
          title: "Key created",
          body: html`<h1>Key created</h1>
            <p class="notice good" role="status">Copy the key now: it is shown only here and cannot be read again.</p>
            ${definitionList([
              ["API key", html`<code class="secret">${shown.key}</code>`],
              ["Name", shown.name],
              ["Scopes", shown.scopes.join(", ")],
              ["Ends", timeOf(shown.expires_at, clock.nowMs()) ?? "never"],
              ["Key id", html`<code>${shown.id}</code>`],
            ])}
            <p><a href="${path}">All keys</a></p>`,
        });
      },
      (problem) => show(c, problem),
    ),
  );

  dashboard.post("/keys/:id/revoke", needsScope("admin"), async (c) => {
    if (!(await keys.revoke(c.get("account"), c.req.param("id"), actorOf(c, "dashboard")))) throw notFound("key");
    return redirectWith(c, path, "key-revoked");
  });
}

function keyTable(c: Context<DashboardEnv>, views: readonly ApiKeyView[], nowMs: number): Html {
  return table({
    caption: "API keys",
    columns: ["Name", "State", "Scopes", "Created", "Last use", "Ends", "Action"],
    rows: views.map((view) => {
      const key = listedKeyJson(view);
      const state = key.revoked_at !== null ? "revoked" : hasEnded(view, nowMs) ? "expired" : "valid";
      return [
        html`${key.name}<br /><code class="quiet">${key.id}</code>`,
        badge(state),
        key.scopes.join(", "),
        timeOf(key.created_at, nowMs),
        timeOf(key.last_used_at, nowMs) ?? "never",
        timeOf(key.revoked_at ?? key.expires_at, nowMs) ?? "never",
        state === "valid" ? revocation(c, key) : null,
      ];
    }),
    empty: "No keys.",
  });
}

function revocation(c: Context<DashboardEnv>, { id, name }: { readonly id: string; readonly name: string }): Html {
  const isOwn = c.get("key").id === id;
  return html`<details>
    <summary aria-label="${`Revoke the key ${name}`}">Revoke</summary>
    ${isOwn ? html`<p>This session is of this key and ends with it.</p>` : ""}
    ${actionForm(c, { scope: "admin", action: `${path}/${encodeURIComponent(id)}/revoke`, label: "Revoke this key", danger: true })}
  </details>`;
}

function creationForm(c: Context<DashboardEnv>, problem: PageProblem | null): Html {
  const faults = (name: string) => faultsOf(problem, name);
  const own = c.get("key");
  return actionForm(c, {
    scope: "admin",
    action: path,
    label: "Create the key",
    fields: html`${formKeyField()}
      <div class="stacked">
        ${textField({ name: "name", label: "Name of the key", maxLength: 100, required: true, value: typedIn(c, "name"), faults: faults("name") })}
        ${checkGroup({
          name: "scopes",
          legend: "Scopes, at most those of your key",
          choices: sortedScopes(own.scopes).map((scope) => [scope, scopeTexts[scope]] as const),
          checked: tickedIn(c, "scopes", ["read"]),
          faults: faults("scopes"),
        })}
        ${textField({
          name: "expires_at",
          label: own.expiresAtMs === null ? "End (UTC), none if empty" : "End (UTC), at most that of your key",
          type: "datetime-local",
          value: typedIn(c, "expires_at", own.expiresAtMs === null ? "" : inputTime(own.expiresAtMs)),
          faults: faults("expires_at"),
        })}
      </div>`,
  });
}

import { actorOf } from "../../operations/actor.ts";
import type { Hono } from "hono";
import { html } from "hono/html";
import { describeFilter } from "../../../domain/events/event-filter.ts";
import type { HttpDependencies } from "../../operations/dependencies.ts";
import type { HookView } from "../../../ports/stores/read-store.ts";
import { csvAnswer } from "../csv.ts";
import type { CsvList } from "../csv.ts";
import { notFound } from "../../operations/problem.ts";
import { hookJson } from "../../schemas/json.ts";
import type { DashboardEnv } from "../dashboard-env.ts";
import { badge, csvLink, heading, linkTo, longText, pager, pathOf, table } from "../elements.ts";
import { actionForm, mayUse } from "../form.ts";
import { needsScope } from "../session/scope-guard.ts";
import { notice, redirectWith } from "../notice.ts";
import { page } from "../page.ts";
import { cursorOnly, readParameters } from "../query.ts";
import { timeOf } from "../time.ts";

const path = "/dashboard/hooks";
const pageSize = 25;
const csvColumns = ["id", "url", "events", "where", "format", "endpoint_id", "endpoint_state", "created_at"];

/** Pages of hooks: list and removal. */
export function addHookPages(dashboard: Hono<DashboardEnv>, { registration, store, clock }: HttpDependencies): void {
  dashboard.get("/hooks", async (c) => {
    const { cursor } = readParameters(c, cursorOnly);
    const { data, nextCursor } = await store.listHooks({ accountId: c.get("account").id, limit: pageSize, cursor: cursor ?? null });
    const nowMs = clock.nowMs();
    return page(c, {
      title: "Hooks",
      body: html`${heading("Hooks", mayUse(c, "endpoints") ? { path: `${path}/new`, label: "Subscribe a hook" } : null)} ${notice(c)}
        <p class="quiet">A hook is sent the transitions that its filter names, of every call of the account.</p>
        ${table({
          caption: "Hooks",
          columns: ["URL", "Events", "Endpoint", "Format", "Created", "Action"],
          rows: data.map((view) => {
            const hook = hookJson(view, nowMs, { secret: null, ignored: [] });
            return [
              html`${longText(hook.url)}<br /><code class="quiet">${hook.id}</code>`,
              describeFilter(hook) ?? "every event about a call or watch",
              html`${badge(hook.endpoint_state)} ${linkTo("endpoints", hook.endpoint_id, "endpoint")}`,
              hook.format,
              timeOf(hook.created_at, nowMs),
              mayUse(c, "endpoints")
                ? html`<a href="${`${pathOf("hooks", hook.id)}/delete`}" aria-label="${`Remove the hook ${hook.id}`}">Remove</a>`
                : null,
            ];
          }),
          empty: "No hooks.",
        })}
        ${pager(path, {}, { cursor, nextCursor })} ${csvLink(path, {})}`,
    });
  });

  dashboard.get("/hooks.csv", (c) => {
    const { cursor } = readParameters(c, cursorOnly);
    const accountId = c.get("account").id;
    const list: CsvList<HookView> = {
      name: "hooks",
      columns: csvColumns,
      read: (page) => store.listHooks({ ...page, accountId }),
      json: (view) => hookJson(view, clock.nowMs(), { secret: null, ignored: [] }),
    };
    return csvAnswer(c, list, cursor ?? null);
  });

  dashboard.get("/hooks/:id/delete", needsScope("endpoints"), async (c) => {
    const view = await store.getHook(c.get("account").id, c.req.param("id"));
    if (view === null) throw notFound("hook");
    return page(c, {
      title: "Remove a hook",
      body: html`<h1>Remove the hook to ${view.url}?</h1>
        <p>
          It receives no more events. Deliveries pending for it alone are canceled; those of a watch or another hook with the same URL are
          still sent.
        </p>
        ${actionForm(c, { scope: "endpoints", action: `${pathOf("hooks", view.id)}/delete`, label: "Remove the hook", danger: true })}
        <p><a href="${path}">Cancel</a></p>`,
    });
  });

  dashboard.post("/hooks/:id/delete", needsScope("endpoints"), async (c) => {
    const account = c.get("account");
    const id = c.req.param("id");
    if ((await store.getHook(account.id, id)) === null) throw notFound("hook");
    await registration.removeHook(account, id, actorOf(c, "dashboard"));
    return redirectWith(c, path, "hook-removed");
  });
}

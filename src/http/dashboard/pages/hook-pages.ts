import type { Hono } from "hono";
import { html } from "hono/html";
import { describeFilter } from "../../../domain/events/event-filter.ts";
import type { HttpDependencies } from "../../operations/dependencies.ts";
import { notFound } from "../../operations/problem.ts";
import { hookJson } from "../../schemas/json.ts";
import type { DashboardEnv } from "../dashboard-env.ts";
import { badge, linkTo, longText, pager, pathOf, table } from "../elements.ts";
import { actionForm } from "../form.ts";
import { notice, redirectWith } from "../notice.ts";
import { page } from "../page.ts";
import { cursorOnly, readParameters } from "../query.ts";
import { timeOf } from "../time.ts";

const path = "/dashboard/hooks";
const pageSize = 25;

/** Pages of hooks: list and removal. */
export function addHookPages(dashboard: Hono<DashboardEnv>, { registration, store, clock }: HttpDependencies): void {
  dashboard.get("/hooks", async (c) => {
    const { cursor } = readParameters(c, cursorOnly);
    const { data, nextCursor } = await store.listHooks({ accountId: c.get("account").id, limit: pageSize, cursor: cursor ?? null });
    const nowMs = clock.nowMs();
    return page(c, {
      title: "Hooks",
      body: html`<h1>Hooks</h1>
        ${notice(c)}
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
              html`<a href="${`${pathOf("hooks", hook.id)}/delete`}" aria-label="${`Remove the hook ${hook.id}`}">Remove</a>`,
            ];
          }),
          empty: "No hooks.",
        })}
        ${pager(path, {}, { cursor, nextCursor })}`,
    });
  });

  dashboard.get("/hooks/:id/delete", async (c) => {
    const view = await store.getHook(c.get("account").id, c.req.param("id"));
    if (view === null) throw notFound("hook");
    return page(c, {
      title: "Remove a hook",
      body: html`<h1>Remove the hook to ${view.url}?</h1>
        <p>
          It receives no more events. Deliveries pending for it alone are canceled; those of a watch or another hook with the same URL are
          still sent.
        </p>
        ${actionForm(c, { action: `${pathOf("hooks", view.id)}/delete`, label: "Remove the hook", danger: true })}
        <p><a href="${path}">Cancel</a></p>`,
    });
  });

  dashboard.post("/hooks/:id/delete", async (c) => {
    const account = c.get("account");
    const id = c.req.param("id");
    if ((await store.getHook(account.id, id)) === null) throw notFound("hook");
    await registration.removeHook(account, id);
    return redirectWith(c, path, "hook-removed");
  });
}

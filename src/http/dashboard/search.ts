import type { Hono } from "hono";
import { html } from "hono/html";
import { callSidPattern } from "../../domain/calls/call.ts";
import type { HttpDependencies } from "../operations/dependencies.ts";
import { ProblemError } from "../operations/problem.ts";
import type { DashboardEnv, Html } from "./dashboard-env.ts";
import { pathOf, pathWith } from "./elements.ts";

/** Adds the search, which leads from a call SID or any id to its page, so that a value from a log can be pasted into one field. */
export function addFind(dashboard: Hono<DashboardEnv>, { store }: HttpDependencies): void {
  dashboard.get("/find", async (c) => {
    const wanted = (c.req.query("q") ?? "").trim();
    if (callSidPattern.test(wanted)) return c.redirect(pathWith("/dashboard/watches", { call_sid: wanted }), 303);
    const [prefix] = wanted.split("_", 1);
    if (prefix === "wch") return c.redirect(pathOf("watches", wanted), 303);
    if (prefix === "dlv") return c.redirect(pathOf("deliveries", wanted), 303);
    if (prefix === "ep") return c.redirect(pathOf("endpoints", wanted), 303);
    if (prefix === "hk") return c.redirect("/dashboard/hooks", 303);
    const found = prefix === "evt" ? await store.getEvent(c.get("account").id, wanted) : null;
    const watchId = found !== null && "watchId" in found.event.data ? found.event.data.watchId : null;
    if (watchId !== null) return c.redirect(pathOf("watches", watchId), 303);
    const [delivery] = found?.deliveries ?? [];
    if (delivery !== undefined) return c.redirect(pathOf("deliveries", delivery.id), 303);
    throw new ProblemError({
      slug: "not-found",
      detail:
        "no resource of this account has this id: a call SID begins with OUT-, an id with wch_, evt_ (a webhook-id), dlv_, ep_ or hk_",
    });
  });
}

export function findForm(): Html {
  return html`<form method="get" action="/dashboard/find" class="filter" role="search">
    <div>
      <label for="q">Call SID, webhook-id or any other id</label>
      <input id="q" name="q" required size="46" maxlength="140" placeholder="OUT-…, evt_…, wch_…, dlv_…, ep_…" />
    </div>
    <button type="submit">Find</button>
  </form>`;
}

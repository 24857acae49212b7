import { watchStatuses } from "../../../domain/calls/watch.ts";
import { z } from "@hono/zod-openapi";
import type { Hono } from "hono";
import { html } from "hono/html";
import type { HttpDependencies } from "../../operations/dependencies.ts";
import { watchJson } from "../../schemas/json.ts";
import type { DashboardEnv, Html } from "../dashboard-env.ts";
import { badge, linkTo, longText, pager, selectOf, sidText, table } from "../elements.ts";
import { notice } from "../notice.ts";
import { page } from "../page.ts";
import { choiceField, cursorField, readParameters, sidField } from "../query.ts";
import { sentence, timeOf } from "../time.ts";

const path = "/dashboard/watches";
const querySchema = z.object({ status: choiceField(watchStatuses), call_sid: sidField, cursor: cursorField });
const pageSize = 25;

/** Page of watches, newest first. */
export function addWatchList(dashboard: Hono<DashboardEnv>, { store, live, clock }: HttpDependencies): void {
  dashboard.get("/watches", async (c) => {
    const { status, call_sid: callSid, cursor } = readParameters(c, querySchema);
    const { data, nextCursor } = await store.listWatches({
      accountId: c.get("account").id,
      limit: pageSize,
      cursor: cursor ?? null,
      status: status ?? null,
      callSid: callSid ?? null,
    });
    const nowMs = clock.nowMs();
    return page(c, {
      title: "Watches",
      body: html`<h1>Watches</h1>
        ${notice(c)}
        <form method="get" action="${path}" class="filter">
          <div>
            <label for="call_sid">Call SID</label>
            <input id="call_sid" name="call_sid" value="${callSid ?? ""}" placeholder="OUT-…" size="42" maxlength="132" />
          </div>
          <div>
            <label for="status">Status</label>
            ${selectOf("status", watchStatuses, status)}
          </div>
          <button type="submit">Filter</button>
        </form>
        ${watchTable(
          data.map((view) => watchJson(view, live, nowMs)),
          nowMs,
        )}
        ${pager(path, { status, call_sid: callSid }, { cursor, nextCursor })}`,
    });
  });
}

export function watchTable(watches: readonly ReturnType<typeof watchJson>[], nowMs: number): Html {
  return table({
    caption: "Watches",
    columns: ["Call SID", "Watch", "Call", "Explanation", "Callback URL", "Registered"],
    rows: watches.map((watch) => [
      linkTo("watches", watch.id, sidText(watch.call_sid)),
      badge(watch.status),
      watch.call.status === null ? null : badge(watch.call.status),
      sentence(watch.explain, nowMs),
      watch.callback_url === null ? "the account's hooks" : longText(watch.callback_url),
      timeOf(watch.created_at, nowMs),
    ]),
    empty: "No watch matches.",
  });
}

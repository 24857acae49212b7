import { watchStatuses } from "../../../domain/calls/watch.ts";
import { z } from "@hono/zod-openapi";
import type { Hono } from "hono";
import { html } from "hono/html";
import type { HttpDependencies } from "../../operations/dependencies.ts";
import type { ReadStore, WatchView } from "../../../ports/stores/read-store.ts";
import { csvAnswer } from "../csv.ts";
import type { CsvList } from "../csv.ts";
import { watchJson } from "../../schemas/json.ts";
import type { DashboardEnv, Html } from "../dashboard-env.ts";
import { badge, csvLink, heading, linkTo, longText, pager, selectOf, sidText, table } from "../elements.ts";
import { mayUse } from "../form.ts";
import { notice } from "../notice.ts";
import { livePart } from "../live/live-part.ts";
import { livePath } from "../live/live-path.ts";
import { page } from "../page.ts";
import { choiceField, cursorField, pairField, pairOf, readParameters, sidField } from "../query.ts";
import { sentence, timeOf } from "../time.ts";

const path = "/dashboard/watches";
const querySchema = z.object({ status: choiceField(watchStatuses), call_sid: sidField, metadata: pairField, cursor: cursorField });
const pageSize = 25;
const csvColumns = [
  "id",
  "call_sid",
  "source",
  "status",
  "end_reason",
  "call.status",
  "call.reason",
  "call.terminal",
  "call.observed_at",
  "callback_url",
  "endpoint_id",
  "events",
  "metadata",
  "sequence",
  "explain",
  "created_at",
  "expires_at",
  "ended_at",
];

/** Page of watches, newest first. */
export function addWatchList(dashboard: Hono<DashboardEnv>, { store, live, clock }: HttpDependencies): void {
  dashboard.get("/watches", async (c) => {
    const { status, call_sid: callSid, metadata, cursor } = readParameters(c, querySchema);
    const { data, nextCursor } = await listWatches(store, metadata, {
      accountId: c.get("account").id,
      limit: pageSize,
      cursor: cursor ?? null,
      status: status ?? null,
      callSid: callSid ?? null,
    });
    const nowMs = clock.nowMs();
    return page(c, {
      title: "Watches",
      ...(cursor === undefined ? { live: livePath } : {}),
      body: html`${heading("Watches", mayUse(c, "watch") ? { path: `${path}/new`, label: "Register a watch" } : null)} ${notice(c)}
        <form method="get" action="${path}" class="filter">
          <div>
            <label for="call_sid">Call SID</label>
            <input id="call_sid" name="call_sid" value="${callSid ?? ""}" placeholder="OUT-…" size="42" maxlength="132" />
          </div>
          <div>
            <label for="metadata">Metadata</label>
            <input id="metadata" name="metadata" value="${metadata ?? ""}" placeholder="lead_id:00Q5g000" size="22" maxlength="400" />
          </div>
          <div>
            <label for="status">Status</label>
            ${selectOf("status", watchStatuses, status)}
          </div>
          <button type="submit">Filter</button>
        </form>
        ${livePart(
          "list",
          watchTable(
            data.map((view) => watchJson(view, live, nowMs)),
            nowMs,
          ),
        )}
        ${pager(path, { status, call_sid: callSid, metadata }, { cursor, nextCursor })}
        ${csvLink(path, { status, call_sid: callSid, metadata })}`,
    });
  });

  dashboard.get("/watches.csv", (c) => {
    const { status, call_sid: callSid, metadata, cursor } = readParameters(c, querySchema);
    const accountId = c.get("account").id;
    const list: CsvList<WatchView> = {
      name: "watches",
      columns: csvColumns,
      read: (page) => listWatches(store, metadata, { ...page, accountId, status: status ?? null, callSid: callSid ?? null }),
      json: (view) => watchJson(view, live, clock.nowMs()),
    };
    return csvAnswer(c, list, cursor ?? null);
  });
}

function listWatches(
  store: ReadStore,
  metadata: string | undefined,
  query: Parameters<ReadStore["listWatches"]>[0],
): ReturnType<ReadStore["listWatches"]> {
  const pair = metadata === undefined ? null : pairOf(metadata);
  return pair === null ? store.listWatches(query) : store.listWatchesByMetadata({ ...query, metadata: pair });
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

import { actorOf } from "../../operations/actor.ts";
import type { Context, Hono } from "hono";
import { html } from "hono/html";
import { describeFilter } from "../../../domain/events/event-filter.ts";
import type { WatchView } from "../../../ports/stores/read-store.ts";
import type { HttpDependencies } from "../../operations/dependencies.ts";
import { notFound } from "../../operations/problem.ts";
import { watchJson } from "../../schemas/json.ts";
import type { DashboardEnv, Html } from "../dashboard-env.ts";
import { badge, definitionList, linkTo, pager, pathOf, pathWith, sidText } from "../elements.ts";
import { actionForm, mayUse } from "../form.ts";
import { needsScope } from "../session/scope-guard.ts";
import { notice, redirectWith } from "../notice.ts";
import { livePart } from "../live/live-part.ts";
import { livePath } from "../live/live-path.ts";
import { page } from "../page.ts";
import { callPicture } from "../pictures/call-picture.ts";
import { cursorOnly, readParameters } from "../query.ts";
import { sentence, timeOf } from "../time.ts";
import { readTimeline, timeline } from "./watch-timeline.ts";

type WatchJson = ReturnType<typeof watchJson>;

const callProblems = {
  source_suspended: "the source is suspended: its calls are not polled",
  source_slowed: "the source is slowed: its calls are polled less often",
  upstream_errors: "the upstream fails: this call is polled with backoff",
  not_found_yet: "the upstream does not know the call yet",
} as const;

/** Page of a watch: the call and every webhook about it. */
export function addWatchPages(dashboard: Hono<DashboardEnv>, dependencies: HttpDependencies): void {
  const { registration, store, live, clock } = dependencies;
  const findView = async (c: Context<DashboardEnv>, id: string): Promise<WatchView> => {
    const view = await store.getWatch(c.get("account").id, id);
    if (view === null) throw notFound("watch");
    return view;
  };
  const find = async (c: Context<DashboardEnv>, id: string): Promise<WatchJson> => watchJson(await findView(c, id), live, clock.nowMs());

  dashboard.get("/watches/:id", async (c) => {
    const { cursor } = readParameters(c, cursorOnly);
    const view = await findView(c, c.req.param("id"));
    const watch = watchJson(view, live, clock.nowMs());
    const events = await readTimeline(store, { accountId: c.get("account").id, watchId: watch.id, cursor: cursor ?? null });
    if (events === null) throw notFound("watch");
    const nowMs = clock.nowMs();
    const path = pathOf("watches", watch.id);
    return page(c, {
      title: watch.call_sid,
      live: pathWith(livePath, { call_sid: watch.call_sid }),
      body: html`<h1 class="title-sid">${watch.call_sid}</h1>
        ${notice(c)}
        ${livePart(
          "facts",
          html`<p class="lead">${sentence(watch.explain, nowMs)}.</p>
            ${watchFacts(watch, nowMs)}`,
        )}
        ${
          mayUse(c, "watch")
            ? html`<div class="actions">
                ${watch.status === "active" ? html`<a href="${`${path}/edit`}">Change this watch</a>` : ""}
                <a href="${`${path}/delete`}">Delete this watch</a>
              </div>`
            : ""
        }
        <h2>Timeline</h2>
        ${livePart("timeline", callPicture(events, view.watch, nowMs))}
        <h2>Events</h2>
        ${livePart("events", timeline(events, nowMs))} ${pager(path, {}, { cursor, nextCursor: events.nextCursor })}`,
    });
  });

  dashboard.get("/watches/:id/delete", needsScope("watch"), async (c) => {
    const watch = await find(c, c.req.param("id"));
    const path = pathOf("watches", watch.id);
    return page(c, {
      title: `Delete ${watch.call_sid}`,
      body: html`<h1>Delete this watch?</h1>
        <p>${linkTo("watches", watch.id, sidText(watch.call_sid))}</p>
        <p>Nothing more is sent for it, and pending deliveries are canceled. An attempt that is in flight may still arrive.</p>
        ${actionForm(c, {
          scope: "watch",
          action: `${path}/delete`,
          label: "Delete the watch",
          danger: true,
          fields: html`<div class="check">
            <input type="checkbox" id="purge" name="purge" value="true" />
            <label for="purge">Erase the watch with its events, deliveries and attempts. This cannot be undone.</label>
          </div>`,
        })}
        <p><a href="${path}">Cancel</a></p>`,
    });
  });

  dashboard.post("/watches/:id/delete", needsScope("watch"), async (c) => {
    const id = c.req.param("id");
    const purge = c.get("form").get("purge") === "true";
    if (!(await registration.removeWatch(c.get("account"), id, purge, actorOf(c, "dashboard")))) throw notFound("watch");
    return purge ? redirectWith(c, "/dashboard/watches", "watch-erased") : redirectWith(c, pathOf("watches", id), "watch-deleted");
  });
}

function watchFacts(watch: WatchJson, nowMs: number): Html {
  const { call } = watch;
  const metadata = Object.entries(watch.metadata);
  return definitionList([
    ["Watch", html`${badge(watch.status)} ${watch.end_reason ?? ""} <code>${watch.id}</code>`],
    ["Call", call.status === null ? "no status seen yet" : html`${badge(call.status)} since ${timeOf(call.observed_at, nowMs)}`],
    ["Reason", call.reason === "" ? null : call.reason],
    ["Polled", timeOf(call.polled_at, nowMs)],
    ["Next poll", timeOf(call.next_poll_at, nowMs)],
    ["Problem", call.problem === null ? null : callProblems[call.problem]],
    ["Source", watch.source],
    ["Callback URL", watch.callback_url],
    [
      "Endpoint",
      watch.endpoint_id === null
        ? "none: the account's hooks receive the events"
        : html`${linkTo("endpoints", watch.endpoint_id)} ${badge(watch.endpoint_state ?? "")} format ${watch.format}`,
    ],
    ["Events", describeFilter(watch) ?? "all"],
    ["Metadata", metadata.length === 0 ? null : html`${metadata.map(([key, value]) => html`<div><code>${key}</code> ${value}</div>`)}`],
    ["Registered", timeOf(watch.created_at, nowMs)],
    watch.ended_at === null ? ["Watched until", timeOf(watch.expires_at, nowMs)] : ["Ended", timeOf(watch.ended_at, nowMs)],
  ]);
}

import type { Context, Hono } from "hono";
import { html } from "hono/html";
import { isCallSid } from "../../domain/calls/call.ts";
import { describeFilter } from "../../domain/events/event-filter.ts";
import { isoTime } from "../../domain/events/payload.ts";
import type { HttpDependencies } from "../operations/dependencies.ts";
import { ProblemError } from "../operations/problem.ts";
import { hookJson } from "../schemas/json.ts";
import type { DashboardEnv, Html } from "./dashboard-env.ts";
import { badge, definitionList, linkTo, longText, pathOf, pathWith } from "./elements.ts";
import { page } from "./page.ts";
import { pairOf } from "./query.ts";
import { timeOf } from "./time.ts";

const newest = { limit: 2, cursor: null, status: null } as const;

/** Where a search leads: to a page, or to the facts of something that has no page of its own. */
type Found = { readonly path: string } | { readonly title: string; readonly facts: Html };

/**
 * Adds the search, which leads from a call SID, any id or a pair of metadata to its page, so that a value from a log can be
 * pasted into one field. Each way is one look-up by an index.
 */
export function addFind(dashboard: Hono<DashboardEnv>, dependencies: HttpDependencies): void {
  dashboard.get("/find", async (c) => {
    const wanted = (c.req.query("q") ?? "").trim();
    const found = (await findById(c, dependencies, wanted)) ?? (await findWatches(c, dependencies, wanted));
    if (found === null)
      throw new ProblemError({
        slug: "not-found",
        detail:
          "no resource of this account has this id, and no watch this call SID or metadata: an id begins with wch_, evt_ (a webhook-id), dlv_, ep_, hk_ or plc_, and metadata is written as lead_id:00Q5g000",
      });
    if ("path" in found) return c.redirect(found.path, 303);
    return page(c, {
      title: found.title,
      body: html`<h1>${found.title}</h1>
        ${found.facts}`,
    });
  });
}

async function findById(c: Context<DashboardEnv>, { store, clock }: HttpDependencies, id: string): Promise<Found | null> {
  const accountId = c.get("account").id;
  const [prefix] = id.split("_", 1);
  switch (prefix) {
    case "wch":
      return { path: pathOf("watches", id) };
    case "dlv":
      return { path: pathOf("deliveries", id) };
    case "ep":
      return { path: pathOf("endpoints", id) };
    case "hk": {
      const view = await store.getHook(accountId, id);
      if (view === null) return null;
      const hook = hookJson(view, clock.nowMs(), { secret: null, ignored: [] });
      const facts = definitionList([
        ["Hook", html`<code>${hook.id}</code>`],
        ["URL", longText(hook.url)],
        ["Events", describeFilter(hook) ?? "every event about a call or watch"],
        ["Endpoint", html`${badge(hook.endpoint_state)} ${linkTo("endpoints", hook.endpoint_id)}`],
        ["Created", timeOf(hook.created_at, clock.nowMs())],
      ]);
      return {
        title: "Hook",
        facts: html`${facts}
          <p><a href="/dashboard/hooks">All hooks</a></p>`,
      };
    }
    case "plc": {
      const found = await store.getPlacing(accountId, id);
      if (found === null) return null;
      const { placing } = found;
      const facts = definitionList([
        ["Placing", html`<code>${placing.id}</code>`],
        ["State", badge(placing.state)],
        ["Source", placing.sourceName],
        ["Call", placing.callSid],
        ["Watch", placing.watchId === null ? null : linkTo("watches", placing.watchId)],
        ["Idempotency key", placing.idempotencyKey],
        ["Placed", timeOf(isoTime(placing.createdAtMs), clock.nowMs())],
      ]);
      return {
        title: "Placed call",
        facts: html`${facts}
          <p><a href="/dashboard/calls">All placed calls</a></p>`,
      };
    }
    case "evt": {
      const found = await store.getEvent(accountId, id);
      if (found === null) return null;
      const { data } = found.event;
      const watchId = "watchId" in data ? data.watchId : data.subjectWatchId;
      if (watchId !== null) return { path: pathOf("watches", watchId) };
      const [delivery] = found.deliveries;
      if (delivery !== undefined) return { path: pathOf("deliveries", delivery.id) };
      return { path: pathOf("events", id) };
    }
    default:
      return null;
  }
}

/** The SIDs of every source have a shape of their own, so that any text may be one, one with a colon too. */
async function findWatches(c: Context<DashboardEnv>, { store }: HttpDependencies, text: string): Promise<Found | null> {
  const accountId = c.get("account").id;
  if (isCallSid(text)) {
    const { data } = await store.listWatches({ ...newest, accountId, callSid: text });
    if (data.length > 0) return { path: pathWith("/dashboard/watches", { call_sid: text }) };
  }
  const pair = pairOf(text);
  if (pair === null) return null;
  const { data, nextCursor } = await store.listWatchesByMetadata({ ...newest, accountId, callSid: null, metadata: pair });
  const [watch, another] = data;
  if (watch !== undefined && another === undefined && nextCursor === null) return { path: pathOf("watches", watch.watch.id) };
  return watch === undefined && nextCursor === null ? null : { path: pathWith("/dashboard/watches", { metadata: text }) };
}

export function findForm(): Html {
  return html`<form method="get" action="/dashboard/find" class="filter" role="search">
    <div>
      <label for="q">Call SID, webhook-id, any other id, or metadata</label>
      <input id="q" name="q" required size="46" maxlength="400" placeholder="OUT-…, evt_…, wch_…, lead_id:00Q5g000" />
    </div>
    <button type="submit">Find</button>
  </form>`;
}

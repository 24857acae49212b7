import { z } from "@hono/zod-openapi";
import type { Hono } from "hono";
import { html } from "hono/html";
import { selectTypes } from "../../../domain/events/event-filter.ts";
import { eventGroups, operationalEventTypes, watchEventTypes } from "../../../domain/events/event.ts";
import type { RingbackEvent } from "../../../domain/events/event.ts";
import { isoTime } from "../../../domain/events/payload.ts";
import type { HttpDependencies } from "../../operations/dependencies.ts";
import type { DashboardEnv, Html } from "../dashboard-env.ts";
import type { EventView } from "../../../ports/stores/read-store.ts";
import { eventJson } from "../../schemas/json.ts";
import { csvAnswer } from "../csv.ts";
import type { CsvList } from "../csv.ts";
import { badge, csvLink, linkTo, selectOf, sidText, table } from "../elements.ts";
import { livePart } from "../live/live-part.ts";
import { livePath } from "../live/live-path.ts";
import { page } from "../page.ts";
import { choiceField, readParameters, wordField } from "../query.ts";
import { timeOf } from "../time.ts";

const path = "/dashboard/events";
const types = [...eventGroups, ...watchEventTypes, ...operationalEventTypes] as const;
const querySchema = z.object({ type: choiceField(types), source: wordField, status: wordField });

const eventsShown = 50;
const csvColumns = [
  "id",
  "type",
  "timestamp",
  "watch_id",
  "call_sid",
  "source",
  "status",
  "previous_status",
  "reason",
  "terminal",
  "sequence",
  "observed_at",
  "observed_after",
  "metadata",
  "details",
  "endpoint_id",
  "delivery_id",
  "placing_id",
  "key_id",
  "state",
];
/** Number of events among which those of a source or status are searched: no index has them. */
const eventsSearched = 200;

/** Page of the newest events, and all of them as CSV. With its script it is a live tail, because it fetches itself again with every change. */
export function addEventTail(dashboard: Hono<DashboardEnv>, { store, live, clock }: HttpDependencies): void {
  dashboard.get("/events", async (c) => {
    const { type, source, status } = readParameters(c, querySchema);
    const account = c.get("account");
    const isSearch = source !== undefined || status !== undefined;
    const limit = isSearch ? eventsSearched : eventsShown;
    const newest = await store.listRecentEvents({ accountId: account.id, ...selectionOf(type), limit });
    const found = newest.map(factsOf).filter((event) => isAskedFor(event, { source, status }));
    const nowMs = clock.nowMs();
    return page(c, {
      title: "Events",
      live: livePath,
      body: html`<h1>Events</h1>
        <form method="get" action="${path}" class="filter">
          <div>
            <label for="type">Type</label>
            ${selectOf("type", types, type)}
          </div>
          <div>
            <label for="source">Source</label>
            ${selectOf("source", sourceNames(live.sources(account), source), source)}
          </div>
          <div>
            <label for="status">Status</label>
            <input id="status" name="status" value="${status ?? ""}" placeholder="failure" size="14" maxlength="64" />
          </div>
          <button type="submit">Filter</button>
        </form>
        <p class="quiet">
          The newest ${eventsShown} events first.
          ${isSearch ? `Source and status are searched among the newest ${eventsSearched} of the type.` : ""}
        </p>
        ${livePart("tail", eventTable(found.slice(0, eventsShown), nowMs))} ${csvLink(path, { type, source, status })}`,
    });
  });

  // In the order of the feed, which has a place to go on from.
  dashboard.get("/events.csv", (c) => {
    const { type, source, status } = readParameters(c, querySchema);
    const query = { accountId: c.get("account").id, sinceMs: null, callSid: null, ...selectionOf(type) };
    const startedAtMs = clock.nowMs();
    const list: CsvList<EventView> = {
      name: "events",
      columns: csvColumns,
      async read(page) {
        const { data, nextCursor } = await store.readFeed({ ...query, ...page });
        const found = data.filter(({ event }) => isAskedFor(factsOf(event), { source, status }));
        // The feed has no end, so the list ends with the first event that is newer than the request.
        const isLast = (data.at(-1)?.event.timestampMs ?? Infinity) > startedAtMs;
        return { data: found, nextCursor: isLast ? null : nextCursor };
      },
      json(view) {
        const { data, ...event } = eventJson(view);
        return { ...event, ...data };
      },
    };
    return csvAnswer(c, list, null);
  });
}

/** Returns the selection of one type, or of all types. The operational ones must be named. */
function selectionOf(type: (typeof types)[number] | undefined) {
  return selectTypes({ names: type === undefined ? [...watchEventTypes, ...operationalEventTypes] : [type] });
}

type Asked = { readonly source: string | undefined; readonly status: string | undefined };

function isAskedFor(event: EventFacts, { source, status }: Asked): boolean {
  return (source === undefined || event.source === source) && (status === undefined || event.status === status.toLowerCase());
}

/** Names of the sources to choose from, with the one that was asked for: it may have been removed since. */
function sourceNames(sources: readonly { readonly name: string }[], chosen: string | undefined): readonly string[] {
  return [...new Set([...sources.map(({ name }) => name), ...(chosen === undefined ? [] : [chosen])])];
}

type EventFacts = {
  readonly id: string;
  readonly type: string;
  readonly at: string;
  readonly callSid: string | null;
  readonly watchId: string | null;
  readonly endpointId: string | null;
  readonly source: string | null;
  readonly status: string | null;
  readonly reason: string | null;
};

function factsOf({ id, type, timestampMs, data }: RingbackEvent): EventFacts {
  const common = { id, type, at: isoTime(timestampMs), source: data.source, reason: data.reason };
  return "watchId" in data
    ? { ...common, callSid: data.callSid, watchId: data.watchId, endpointId: null, status: data.status }
    : { ...common, callSid: data.subjectCallSid, watchId: data.subjectWatchId, endpointId: data.endpointId, status: data.state };
}

function eventTable(events: readonly EventFacts[], nowMs: number): Html {
  return table({
    caption: "Events",
    columns: ["Event", "Call or endpoint", "Status", "Reason", "Source", "Observed"],
    rows: events.map((event) => [
      linkTo("events", event.id, event.type),
      subjectOf(event),
      event.status === null ? null : badge(event.status),
      event.reason === null || event.reason === "" ? null : html`<bdi>${event.reason}</bdi>`,
      event.source,
      timeOf(event.at, nowMs),
    ]),
    empty: "No event matches.",
  });
}

function subjectOf({ callSid, watchId, endpointId }: EventFacts): Html | null {
  if (callSid !== null) return watchId === null ? sidText(callSid) : linkTo("watches", watchId, sidText(callSid));
  return endpointId === null ? null : linkTo("endpoints", endpointId);
}

import { z } from "@hono/zod-openapi";
import type { Hono } from "hono";
import { feedMatches, selectTypes, unfiltered } from "../../../domain/events/event-filter.ts";
import { eventTypes } from "../../../domain/events/event.ts";
import { latestCursor } from "../../../domain/events/feed-place.ts";
import type { Notice } from "../../../ports/stores/call-store.ts";
import type { FeedQuery } from "../../../ports/stores/read-store.ts";
import type { HttpDependencies } from "../../operations/dependencies.ts";
import { FeedReads } from "../../operations/feed-reads.ts";
import { EventStream } from "../../operations/event-stream.ts";
import { tooManyWaiting } from "../../operations/problem.ts";
import type { DashboardEnv } from "../dashboard-env.ts";
import { readParameters, sidField } from "../query.ts";
import type { OpenStreams } from "../session/open-streams.ts";
import { liveScript, scriptName } from "./live-script.ts";

/**
 * Time between two reads of the end of the feed, so that an account with a thousand events a second costs as much as one with two. A page is
 * fetched again once a second at most.
 */
const readEveryMs = 500;
const everyType = selectTypes({ names: eventTypes });

/**
 * Stream that says that something about the account, or about one call, has changed. It is the stream of the feed without its events: the page
 * fetches itself again, so that one renderer writes what a page shows.
 */
export function addLiveStream(dashboard: Hono<DashboardEnv>, { store, live, clock }: HttpDependencies, streams: OpenStreams): void {
  const reads = new FeedReads(store);
  dashboard.get("/live", async (c) => {
    const { call_sid: callSid } = readParameters(c, z.object({ call_sid: sidField }));
    const accountId = c.get("account").id;
    const session = c.get("session");
    const query: FeedQuery = { accountId, limit: 1, cursor: latestCursor, sinceMs: null, callSid: null, ...selectTypes(unfiltered) };
    const open = streams.open(session.formToken);
    const stream = new EventStream({
      clock,
      live,
      accountId,
      matches: (notice: Notice) => feedMatches(everyType, notice.eventType) && (callSid === undefined || callSid === notice.callSid),
      reads,
      readEveryMs,
      queryOf: () => query,
      textOf: changes(),
      isAuthorized: session.isOpen,
      signal: AbortSignal.any([c.req.raw.signal, open.signal]),
      onEnd: open.close,
    });
    const body = await stream.start(latestCursor);
    if (body === "too_many") throw tooManyWaiting();
    return c.body(body, 200, { "content-type": "text/event-stream", "x-accel-buffering": "no" });
  });

  addLiveScript(dashboard, `/${scriptName}`);
}

/** Adds the script of live pages. */
export function addLiveScript(dashboard: Hono<DashboardEnv>, path: string): void {
  dashboard.get(path, (c) =>
    c.body(liveScript, 200, {
      "content-type": "text/javascript; charset=utf-8",
      // Its name changes with its content.
      "cache-control": "private, max-age=31536000, immutable",
    }),
  );
}

/** Returns a text for each page that follows another event than the page before it. */
function changes(): (page: { readonly nextCursor: string }) => string {
  let seen: string | null = null;
  return ({ nextCursor }) => {
    const hasChanged = seen !== null && seen !== nextCursor;
    seen = nextCursor;
    return hasChanged ? "event: changed\ndata: 1\n\n" : "";
  };
}

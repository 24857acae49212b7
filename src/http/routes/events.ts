import { z } from "@hono/zod-openapi";
import type { OpenAPIHono } from "@hono/zod-openapi";
import type { Context } from "hono";
import { feedFilterQuery } from "../schemas/event-filter.ts";
import { feedMatches, selectTypes, unfiltered } from "../../domain/events/event-filter.ts";
import type { Env, HttpDependencies } from "../operations/dependencies.ts";
import { addOperation, defineOperation } from "../operations/operation.ts";
import { EventStream, streamPage } from "../operations/event-stream.ts";
import { FeedReads } from "../operations/feed-reads.ts";
import { admit, isStillAuthorized } from "../operations/request-guards.ts";
import { notFound, tooManyWaiting, unprocessable } from "../operations/problem.ts";
import type { FeedQuery } from "../../ports/stores/read-store.ts";
import type { Notice } from "../../ports/stores/call-store.ts";
import { CursorInvalidError } from "../../domain/errors.ts";
import { afterQuery, callSidField, idParam, limitQuery, timeField, waitMsOf, waitQuery } from "../schemas/fields.ts";
import { eventExample, eventSchema } from "../schemas/answers.ts";
import { eventJson } from "../schemas/json.ts";

const tag = "Events";

const feedSchema = z.object({
  data: z.array(eventSchema).openapi({ description: "Events of this page, oldest first." }),
  next_cursor: z.string().openapi({ description: "Value of `after` for the next request; never null, also after an empty page." }),
});

/** Whether a request asks for server-sent events, and prefers them to JSON or likes both. A HEAD has no body to stream. */
function asksForStream(c: Context): boolean {
  if (c.req.raw.method === "HEAD") return false;
  const accept = c.req.header("accept") ?? "";
  const weight = weightOf("text/event-stream", accept);
  return weight > 0 && weight >= weightOf("application/json", accept);
}

/** Returns the weight of a media type that `Accept` names (RFC 9110, sections 12.4.2 and 12.5.1); 0 if it does not name it. */
function weightOf(mediaType: string, accept: string): number {
  for (const range of accept.toLowerCase().split(",")) {
    const [name = "", ...parameters] = range.split(";").map((part) => part.trim());
    if (name !== mediaType) continue;
    const weight = parameters.find((parameter) => parameter.startsWith("q="));
    return weight === undefined ? 1 : Number(weight.slice(2)) || 0;
  }
  return 0;
}

const readFeed = defineOperation({
  method: "get",
  path: "/v1/events",
  operationId: "readFeed",
  scope: "read",
  tag,
  summary: "Read the feed",
  description:
    "Oldest first, for reconciliation and for clients that cannot receive webhooks. An event appears only when no earlier one can still appear before it. A client that continues from `next_cursor` therefore misses no event and sees none twice, as long as it stores the cursor together with its effect, and is never answered 409 `cursor-gone`: then events behind its cursor are gone, by a restore or by retention, and it goes on with `since`. `since` compares the time at which an event was recorded. With `Accept: text/event-stream` the same feed comes as server-sent events, unless `Accept` prefers `application/json` by its weights: `id` is the cursor, `event` the type, `data` the event on one line. `Last-Event-ID` takes precedence over `after`; `limit` and `wait` are ignored. Every 15 s a comment and the newest cursor as `id` keep the stream open. It ends with its key, and when 1 MiB of new events waits for a reader that takes none.",
  query: z.strictObject({
    limit: limitQuery,
    after: afterQuery,
    since: timeField.optional(),
    type: feedFilterQuery,
    call_sid: callSidField.optional(),
    wait: waitQuery,
  }),
  ignores: (c) => (asksForStream(c) ? ["limit", "wait"] : []),
  answers: { 200: { description: "A page of events.", schema: feedSchema, example: { data: [eventExample], next_cursor: "MTQy" } } },
  problems: ["cursor-gone", "too-many-waiting"],
});

const getEvent = defineOperation({
  method: "get",
  path: "/v1/events/{id}",
  operationId: "getEvent",
  scope: "read",
  tag,
  summary: "Read an event",
  description: "The event as it was sent, with the states of its deliveries.",
  params: idParam("evt", "5uVb0nCqHkq1Xw3Zt8Yd2Jr7Ls4Mf6Pg", "event"),
  answers: { 200: { description: "The event.", schema: eventSchema, example: eventExample } },
  problems: ["not-found"],
});

const isGiven = (text: string | undefined): text is string => text !== undefined && text !== "";

/** Routes of events: one by one, and the feed of the account. */
export function addEventRoutes(app: OpenAPIHono<Env>, dependencies: HttpDependencies): void {
  const { store, live, clock } = dependencies;
  const reads = new FeedReads(store);
  addOperation(app, readFeed, async (c, { query }) => {
    const accountId = c.get("account").id;
    const abort = new AbortController();
    const isStream = asksForStream(c);
    const selection = selectTypes(query.type ?? unfiltered);
    const matches = ({ eventType, callSid }: Notice) =>
      feedMatches(selection, eventType) && (query.call_sid === undefined || query.call_sid === callSid);
    const queryOf = (cursor: string | null): FeedQuery => ({
      accountId,
      limit: isStream ? streamPage : query.limit,
      cursor,
      sinceMs: query.since ?? null,
      ...selection,
      callSid: query.call_sid ?? null,
    });
    const matchesWaiting = (notice: Notice) => {
      if (!matches(notice)) return false;
      reads.noteNews();
      return true;
    };
    const deadlineMs = clock.monotonicMs() + waitMsOf(query.wait);
    const lastEventId = isStream ? c.req.header("last-event-id") : undefined;
    const [begin, parameter] = isGiven(lastEventId) ? [lastEventId, "Last-Event-ID"] : [isGiven(query.after) ? query.after : null, "after"];
    try {
      if (isStream) {
        const isAuthorized = () => isStillAuthorized(c, dependencies);
        const stream = new EventStream({ clock, live, accountId, matches, reads, queryOf, isAuthorized, signal: c.req.raw.signal });
        const body = await stream.start(begin);
        if (body === "too_many") throw tooManyWaiting();
        // Some proxies keep what they buffer until a buffer is full.
        return c.body(body, 200, { "content-type": "text/event-stream", "x-accel-buffering": "no" });
      }
      let hasWaited = false;
      for (let cursor = begin; ;) {
        const leftMs = deadlineMs - clock.monotonicMs();
        const signal = AbortSignal.any([c.req.raw.signal, abort.signal]);
        const changed = leftMs <= 0 ? null : live.changed({ accountId, watchId: null, matches: matchesWaiting }, leftMs, signal);
        let page = await (hasWaited && changed !== null ? reads.read(queryOf(cursor)) : reads.readAlone(queryOf(cursor)));
        const end = page.data.length > 0 || changed === null ? null : await changed;
        if (end === "too_many") throw tooManyWaiting();
        if (end !== null) await admit(c, dependencies);
        // Events that do not match were committed meanwhile, perhaps. The answer names the position after them.
        if (end === "timeout") page = await reads.readAlone(queryOf(page.nextCursor));
        if (end !== "event") return c.body(reads.bodyOf(page), 200, { "content-type": "application/json" });
        cursor = page.nextCursor;
        // A request that is given up during a read no longer matches notices for those that share the read.
        if (!hasWaited) c.req.raw.signal.addEventListener("abort", () => reads.noteNews(), { once: true });
        hasWaited = true;
      }
    } catch (error) {
      throw error instanceof CursorInvalidError ? unprocessable([{ parameter, detail: error.message }]) : error;
    } finally {
      abort.abort();
    }
  });

  addOperation(app, getEvent, async (c, { params }) => {
    const view = await store.getEvent(c.get("account").id, params.id);
    if (view === null) throw notFound("event");
    return c.json(eventJson(view));
  });
}

import { z } from "@hono/zod-openapi";
import type { OpenAPIHono } from "@hono/zod-openapi";
import { feedFilterQuery } from "../schemas/event-filter.ts";
import { feedMatches, selectTypes, unfiltered } from "../../domain/events/event-filter.ts";
import type { Env, HttpDependencies } from "../operations/dependencies.ts";
import { addOperation, defineOperation } from "../operations/operation.ts";
import { notFound, tooManyWaiting, unprocessable } from "../operations/problem.ts";
import type { Notice } from "../../ports/stores/call-store.ts";
import { CursorInvalidError } from "../../domain/errors.ts";
import { callSidField, cursorQuery, idParam, limitQuery, timeField, waitMsOf, waitQuery } from "../schemas/fields.ts";
import { eventExample, eventSchema } from "../schemas/answers.ts";
import { eventJson } from "../schemas/json.ts";

const tag = "Events";

const feedSchema = z.object({
  data: z.array(eventSchema),
  next_cursor: z.string().openapi({ description: "Value of `after` for the next request; never null, also after an empty page." }),
});

const readFeed = defineOperation({
  method: "get",
  path: "/v1/events",
  operationId: "readFeed",
  tag,
  summary: "Read the feed",
  description:
    "Oldest first, for reconciliation and for clients that cannot receive webhooks. An event appears only when no earlier one can still appear before it. A client that continues from `next_cursor` therefore misses no event and sees none twice, as long as it stores the cursor together with its effect, the events are within the retention time and the database was not restored from a backup. `since` compares the time at which an event was recorded.",
  query: z.strictObject({
    limit: limitQuery,
    after: cursorQuery,
    since: timeField.optional(),
    type: feedFilterQuery,
    call_sid: callSidField.optional(),
    wait: waitQuery,
  }),
  answers: { 200: { description: "A page of events.", schema: feedSchema, example: { data: [eventExample], next_cursor: "MTQy" } } },
  problems: ["too-many-waiting"],
});

const getEvent = defineOperation({
  method: "get",
  path: "/v1/events/{id}",
  operationId: "getEvent",
  tag,
  summary: "Read an event",
  description: "The event as it was sent, with the states of its deliveries.",
  params: idParam("evt", "5uVb0nCqHkq1Xw3Zt8Yd2Jr7Ls4Mf6Pg", "event"),
  answers: { 200: { description: "The event.", schema: eventSchema, example: eventExample } },
  problems: ["not-found"],
});

/** Routes of events: one by one, and the feed of the account. */
export function addEventRoutes(app: OpenAPIHono<Env>, { store, live, clock }: HttpDependencies): void {
  addOperation(app, readFeed, async (c, { query }) => {
    const accountId = c.get("account").id;
    const abort = new AbortController();
    const selection = selectTypes(query.type ?? unfiltered);
    const matches = ({ eventType, callSid }: Notice) =>
      feedMatches(selection, eventType) && (query.call_sid === undefined || query.call_sid === callSid);
    const read = (cursor: string | null) =>
      store.readFeed({
        accountId,
        limit: query.limit,
        cursor,
        sinceMs: query.since ?? null,
        ...selection,
        callSid: query.call_sid ?? null,
      });
    const deadlineMs = clock.monotonicMs() + waitMsOf(query.wait);
    try {
      for (let cursor = query.after ?? null; ;) {
        const leftMs = deadlineMs - clock.monotonicMs();
        const signal = AbortSignal.any([c.req.raw.signal, abort.signal]);
        const changed = leftMs <= 0 ? null : live.changed({ accountId, watchId: null, matches }, leftMs, signal);
        let page = await read(cursor);
        const end = page.data.length > 0 || changed === null ? null : await changed;
        if (end === "too_many") throw tooManyWaiting();
        // Events that do not match were committed meanwhile, perhaps. The answer names the position after them.
        if (end === "timeout") page = await read(page.nextCursor);
        if (end !== "event") return c.json({ data: page.data.map(eventJson), next_cursor: page.nextCursor });
        cursor = page.nextCursor;
      }
    } catch (error) {
      throw error instanceof CursorInvalidError ? unprocessable([{ parameter: "after", detail: error.message }]) : error;
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

import { watchStatuses } from "../../domain/calls/watch.ts";
import { z } from "@hono/zod-openapi";
import type { OpenAPIHono } from "@hono/zod-openapi";
import type { BatchOutcome, WatchOutcome } from "../../ports/use-cases/registration.ts";
import type { WatchView } from "../../ports/stores/read-store.ts";
import type { Env, HttpDependencies } from "../operations/dependencies.ts";
import { addOperation, defineOperation, pageRequestOf, pointerErrors } from "../operations/operation.ts";
import { addPostOperation, definePostOperation } from "../operations/post-operation.ts";
import type { Post } from "../operations/post-operation.ts";
import { completeProblem, notFound, problemBody, tooManyWaiting, unprocessable } from "../operations/problem.ts";
import type { Problem } from "../operations/problem.ts";
import { refusalError } from "../operations/refusal.ts";
import { callSidField, idParam, pageQuery, sequenceQuery, waitMsOf, waitQuery } from "../schemas/fields.ts";
import { eventExample, eventSchema, pageExample, pageSchema, watchExample, watchSchema } from "../schemas/answers.ts";
import { eventJson, watchJson } from "../schemas/json.ts";
import { problemExample, problemSchema } from "../schemas/problem.ts";
import { watchRequestOf, watchRequestSchema } from "../schemas/watch-request.ts";

const tag = "Watches";
const maxBatch = 1000;
const watchId = idParam("wch", "1kw4kg04000", "watch");

const batchSchema = z
  .strictObject(
    {
      watches: z
        .array(z.unknown(), "must be a list")
        .min(1, "must have at least one watch")
        .max(maxBatch, `must have at most ${maxBatch} watches`)
        // Each item is checked alone, so that an invalid one has its own answer.
        .openapi({
          type: "array",
          items: { $ref: "#/components/schemas/WatchRequest" },
          description: "Registrations, each judged by itself.",
        }),
    },
    "must be an object",
  )
  .openapi("WatchBatch", { example: { watches: [{ call_sid: "OUT-1", callback_url: "https://crm.example.com/hooks/calls" }] } });

const batchAnswerSchema = z
  .object({
    results: z
      .array(
        z.union([
          z.object({ status: z.union([z.literal(200), z.literal(201)]), watch: watchSchema }),
          z.object({ status: z.number().int(), problem: problemSchema }),
        ]),
      )
      .openapi({ description: "One result for each item, in the order sent." }),
  })
  .openapi("WatchBatchAnswer");

/** Example of a watch that existed already, so that no secret is shown. */
const knownWatchExample = { ...watchExample, signing_secret: null };
const batchAnswerExample = {
  results: [
    { status: 201, watch: watchExample },
    { status: 422, problem: problemExample("invalid-request") },
  ],
};

const createWatch = definePostOperation({
  path: "/v1/watches",
  operationId: "createWatch",
  tag,
  summary: "Watch a call",
  description:
    "Registers a call SID with a callback URL, which is sent every transition. Answered only after the commit reached the disk. The same registration again is answered 200 with the same watch while that is active, or completed within 24 h.",
  body: watchRequestSchema,
  answers: {
    200: { description: "The watch existed already.", schema: watchSchema, example: knownWatchExample },
    201: { description: "Registered.", schema: watchSchema, example: watchExample },
  },
  problems: ["quota-exceeded", "watch-differs", "endpoint-differs", "no-source", "blocked-address", "source-saturated"],
});

const createWatches = definePostOperation({
  path: "/v1/watches/batch",
  operationId: "createWatches",
  tag,
  summary: "Watch many calls",
  description:
    "1 to 1,000 registrations. Each is judged by itself; the accepted ones are committed together. The results stand in the order sent.",
  body: batchSchema,
  bodyKind: "batch",
  answers: { 200: { description: "One result per item, in the order sent.", schema: batchAnswerSchema, example: batchAnswerExample } },
});

const listWatches = defineOperation({
  method: "get",
  path: "/v1/watches",
  operationId: "listWatches",
  tag,
  summary: "List watches",
  description: "Newest first.",
  query: z.strictObject({
    ...pageQuery,
    status: z
      .enum(watchStatuses, "must be active, completed, ended or canceled")
      .optional()
      .openapi({ description: "Only watches with this status." }),
    call_sid: callSidField.optional(),
  }),
  answers: { 200: { description: "A page of watches.", schema: pageSchema(watchSchema), example: pageExample(knownWatchExample) } },
});

const getWatch = defineOperation({
  method: "get",
  path: "/v1/watches/{id}",
  operationId: "getWatch",
  tag,
  summary: "Read a watch",
  description:
    "`wait` holds the answer until the watch's next transition; with `sequence` it is answered at once when the watch is past that. An ended watch is answered at once.",
  params: watchId,
  query: z.strictObject({ wait: waitQuery, sequence: sequenceQuery }),
  answers: { 200: { description: "The watch.", schema: watchSchema, example: knownWatchExample } },
  problems: ["not-found", "too-many-waiting"],
});

const deleteWatch = defineOperation({
  method: "delete",
  path: "/v1/watches/{id}",
  operationId: "deleteWatch",
  tag,
  summary: "Stop watching",
  description: "No attempt starts after the answer; one in flight may still arrive. `purge=true` erases the watch with its events.",
  params: watchId,
  query: z.strictObject({
    purge: z
      .enum(["true", "false"], "must be true or false")
      .default("false")
      .openapi({ description: "Whether the watch is erased with its events." }),
  }),
  answers: { 204: { description: "Canceled; an ended watch stays as it is." } },
  problems: ["not-found"],
});

const listWatchEvents = defineOperation({
  method: "get",
  path: "/v1/watches/{id}/events",
  operationId: "listWatchEvents",
  tag,
  summary: "List a watch's events",
  description: "Ordered by `sequence`.",
  params: watchId,
  query: z.strictObject(pageQuery),
  answers: { 200: { description: "A page of events.", schema: pageSchema(eventSchema), example: pageExample(eventExample) } },
  problems: ["not-found"],
});

/** Routes of watches: register one or many, read, remove. */
export function addWatchRoutes(app: OpenAPIHono<Env>, { registration, store, live, idempotency, clock }: HttpDependencies): void {
  const accepted = (outcome: Extract<WatchOutcome, { view: unknown }>) => ({
    status: outcome.kind === "created" ? (201 as const) : (200 as const),
    watch: watchJson(outcome.view, live, clock.nowMs(), outcome.signingSecret),
  });

  addPostOperation(app, idempotency, createWatch, (c, { body }): Post<WatchOutcome> => ({
    act: (keyed) => registration.registerWatch(c.get("account"), watchRequestOf(body), keyed),
    answer: (outcome) => {
      if (!("view" in outcome)) throw refusalError(outcome);
      const { status, watch } = accepted(outcome);
      return { status, body: watch };
    },
  }));

  addPostOperation(app, idempotency, createWatches, (c, { body }): Post<BatchOutcome> => {
    const problemResult = (problem: Problem) => ({
      status: completeProblem(problem).status,
      problem: problemBody(problem, c.get("requestId")),
    });
    const parsed = body.watches.map((item) => watchRequestSchema.safeParse(item));
    const requests = parsed.flatMap((item) => (item.success ? [watchRequestOf(item.data)] : []));
    return {
      act: (keyed) => registration.registerBatch(c.get("account"), requests, keyed),
      answer: ({ outcomes }) => {
        let next = 0;
        const results = parsed.map((item) => {
          if (!item.success) return problemResult(unprocessable(pointerErrors(item.error)).problem);
          const outcome = outcomes[next++];
          if (outcome === undefined) throw new Error("every request has an outcome");
          return "view" in outcome ? accepted(outcome) : problemResult(refusalError(outcome).problem);
        });
        return { status: 200, body: { results } };
      },
    };
  });

  addOperation(app, listWatches, async (c, { query }) => {
    const filter = { status: query.status ?? null, callSid: query.call_sid ?? null };
    const page = await store.listWatches({ ...pageRequestOf(c, query), ...filter });
    const nowMs = clock.nowMs();
    return c.json({ data: page.data.map((view) => watchJson(view, live, nowMs)), next_cursor: page.nextCursor });
  });

  addOperation(app, getWatch, async (c, { params, query }) => {
    const accountId = c.get("account").id;
    const abort = new AbortController();
    const deadlineMs = clock.monotonicMs() + waitMsOf(query.wait);
    const signal = AbortSignal.any([c.req.raw.signal, abort.signal]);
    let seen = query.sequence;
    let view: WatchView | null = null;
    const isNext = () => view?.watch.status !== "active" || view.watch.sequence > (seen ?? view.watch.sequence);
    try {
      // The first wake-up may belong to a transition that was read already. Then the request waits once more.
      for (let waits = 0; waits < 2; waits++) {
        const leftMs = deadlineMs - clock.monotonicMs();
        // The subscription comes before the read, so that the request misses no transition between the two.
        const changed = leftMs <= 0 ? null : live.changed({ accountId, watchId: params.id }, leftMs, signal);
        view = await store.getWatch(accountId, params.id);
        if (changed === null || isNext()) break;
        seen = view?.watch.sequence;
        const end = await changed;
        if (end === "too_many") throw tooManyWaiting();
        view = await store.getWatch(accountId, params.id);
        if (end !== "event" || isNext()) break;
      }
      if (view === null) throw notFound("watch");
      return c.json(watchJson(view, live, clock.nowMs()));
    } finally {
      abort.abort();
    }
  });

  addOperation(app, deleteWatch, async (c, { params, query }) => {
    const known = await registration.removeWatch(c.get("account"), params.id, query.purge === "true");
    if (!known) throw notFound("watch");
    return c.body(null, 204);
  });

  addOperation(app, listWatchEvents, async (c, { params, query }) => {
    const page = await store.listWatchEvents({ ...pageRequestOf(c, query), watchId: params.id });
    if (page === null) throw notFound("watch");
    return c.json({ data: page.data.map(eventJson), next_cursor: page.nextCursor });
  });
}

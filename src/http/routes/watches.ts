import { actorOf } from "../operations/actor.ts";
import { watchStatuses } from "../../domain/calls/watch.ts";
import { z } from "@hono/zod-openapi";
import type { OpenAPIHono } from "@hono/zod-openapi";
import { metadataKeyOf } from "../../domain/events/where.ts";
import type { BatchOutcome, WatchOutcome } from "../../ports/use-cases/registration.ts";
import type { WatchView } from "../../ports/stores/read-store.ts";
import type { Env, HttpDependencies } from "../operations/dependencies.ts";
import { addOperation, defineOperation, pageRequestOf, pointerErrors } from "../operations/operation.ts";
import { mostResultBytes } from "../operations/most-answer-bytes.ts";
import { addPostOperation, definePostOperation } from "../operations/post-operation.ts";
import type { Post } from "../operations/post-operation.ts";
import { ProblemError, completeProblem, notFound, problemBody, tooManyWaiting, unprocessable } from "../operations/problem.ts";
import type { Problem } from "../operations/problem.ts";
import { admit, traceOf } from "../operations/request-guards.ts";
import { refusalError } from "../operations/refusal.ts";
import { callSidField, idParam, pageQuery, sequenceQuery, waitMsOf, waitQuery } from "../schemas/fields.ts";
import { eventExample, eventSchema, pageExample, pageSchema, watchExample, watchSchema } from "../schemas/answers.ts";
import { eventJson, watchJson } from "../schemas/json.ts";
import { metadataKey } from "../schemas/parts.ts";
import { problemExample, problemSchema } from "../schemas/problem.ts";
import { watchChangeOf, watchPatchSchema, watchRequestOf, watchRequestSchema } from "../schemas/watch-request.ts";

const tag = "Watches";
const maxBatch = 1000;
/** Items of a batch that count as one request in the rate of the account. */
const itemsPerRequest = 10;
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
          z.object({
            status: z.union([z.literal(200), z.literal(201)]).openapi({ description: "201 for a new watch, 200 for one that was there." }),
            watch: watchSchema,
          }),
          z.object({
            status: z.number().int().openapi({ description: "Status code that the item alone would be answered with." }),
            problem: problemSchema,
          }),
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
  scope: "watch",
  tag,
  summary: "Watch a call",
  description:
    "Registers a call SID with a callback URL, which is sent every transition. Answered only after the commit reached the disk. The same registration again is answered 200 with the same watch while that is active, or completed within 24 h. An account has at most `ACCOUNT_MAX_WATCHES_PER_CALL` active watches on one call. When a call with more than 500 watches ends, all of them are ended at once, and their events follow in portions of 500.",
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
  scope: "watch",
  tag,
  summary: "Watch many calls",
  description:
    "1 to 1,000 registrations. Each is judged by itself; the accepted ones are committed together. The results stand in the order sent. Ten items count as one request in the account's rate; what a batch takes beyond it delays later requests.",
  body: batchSchema,
  bodyKind: "batch",
  answers: { 200: { description: "One result per item, in the order sent.", schema: batchAnswerSchema, example: batchAnswerExample } },
  problems: ["batch-too-large-for-key"],
});

const maxMetadataConditions = 16;

const listQuery = z
  .looseObject({
    ...pageQuery,
    status: z
      .enum(watchStatuses, "must be active, completed, ended or canceled")
      .optional()
      .openapi({ description: "Only watches with this status." }),
    call_sid: callSidField.optional(),
    // In the form of OpenAPI for parameters with any names: an exploded object, whose own name is not sent.
    metadata: z
      .never("is not a known parameter")
      .optional()
      .openapi({
        type: "object",
        additionalProperties: { type: "string" },
        propertyNames: { type: "string", pattern: "^metadata\\.[A-Za-z0-9_]{1,40}$" },
        maxProperties: maxMetadataConditions,
        param: { style: "form", explode: true },
        description: "`metadata.<key>=<value>`: only watches whose metadata has this pair, and every other that is given.",
        example: { "metadata.lead_id": "00Q5g000" },
      } as object),
  })
  .transform(({ limit, cursor, status, call_sid, ...others }, context) => {
    const pairs = Object.entries(others).map(([parameter, value], index) => {
      const key = metadataKeyOf(parameter);
      const refuse = (message: string) => context.addIssue({ code: "custom", path: [parameter], message });
      if (key === null) refuse("is not a known parameter");
      else if (!metadataKey.test(key)) refuse("must name a key of 1 to 40 letters, digits or _");
      else if (index >= maxMetadataConditions) refuse(`is more than ${maxMetadataConditions} pairs`);
      return [key, String(value)];
    });
    return { limit, cursor, status, call_sid, metadata: Object.fromEntries(pairs) as Readonly<Record<string, string>> };
  });

const listWatches = defineOperation({
  method: "get",
  path: "/v1/watches",
  operationId: "listWatches",
  scope: "read",
  tag,
  summary: "List watches",
  description:
    "Newest first. `metadata.<key>=<value>` selects the watches whose metadata has exactly this pair; several pairs must all be there. With it a page may have fewer watches than `limit` although `next_cursor` leads on.",
  query: listQuery,
  answers: { 200: { description: "A page of watches.", schema: pageSchema(watchSchema), example: pageExample(knownWatchExample) } },
});

const getWatch = defineOperation({
  method: "get",
  path: "/v1/watches/{id}",
  operationId: "getWatch",
  scope: "read",
  tag,
  summary: "Read a watch",
  description:
    "`wait` holds the answer until the watch's next transition; with `sequence` it is answered at once when the watch is past that. An ended watch is answered at once.",
  params: watchId,
  query: z.strictObject({ wait: waitQuery, sequence: sequenceQuery }),
  answers: { 200: { description: "The watch.", schema: watchSchema, example: knownWatchExample } },
  problems: ["not-found", "too-many-waiting"],
});

const patchWatch = defineOperation({
  method: "patch",
  path: "/v1/watches/{id}",
  operationId: "patchWatch",
  scope: "watch",
  tag,
  summary: "Change a watch",
  description:
    "Changes an active watch, for the events that are written afterwards. Keys left out keep their value; `metadata` replaces all pairs.",
  params: watchId,
  body: watchPatchSchema,
  answers: { 200: { description: "The watch as it is now.", schema: watchSchema, example: knownWatchExample } },
  problems: ["not-found", "watch-ended"],
});

const deleteWatch = defineOperation({
  method: "delete",
  path: "/v1/watches/{id}",
  operationId: "deleteWatch",
  scope: "watch",
  tag,
  summary: "Stop watching",
  description:
    "No attempt starts after the answer; one in flight may still arrive. `purge=true` erases the watch with its events and the answers that were stored for repeats.",
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
  scope: "read",
  tag,
  summary: "List a watch's events",
  description: "Ordered by `sequence`.",
  params: watchId,
  query: z.strictObject(pageQuery),
  answers: { 200: { description: "A page of events.", schema: pageSchema(eventSchema), example: pageExample(eventExample) } },
  problems: ["not-found"],
});

function byteLengthOf(result: unknown): number {
  return Buffer.byteLength(JSON.stringify(result));
}

/** Routes of watches: register one or many, read, remove. */
export function addWatchRoutes(app: OpenAPIHono<Env>, dependencies: HttpDependencies): void {
  const { registration, store, live, idempotency, clock, turns } = dependencies;
  const accepted = (outcome: Extract<WatchOutcome, { view: unknown }>) => ({
    status: outcome.kind === "created" ? (201 as const) : (200 as const),
    watch: watchJson(outcome.view, live, clock.nowMs(), outcome.signingSecret),
  });

  addPostOperation(app, idempotency, createWatch, (c, { body }): Post<WatchOutcome> => ({
    act: (keyed) => registration.registerWatch(c.get("account"), watchRequestOf(body, traceOf(c)), keyed, actorOf(c)),
    answer: (outcome) => {
      if (!("view" in outcome)) throw refusalError(outcome);
      const { status, watch } = accepted(outcome);
      return { status, body: watch };
    },
  }));

  addPostOperation(app, idempotency, createWatches, async (c, { body }): Promise<Post<BatchOutcome>> => {
    const problemResult = (problem: Problem) => ({
      status: completeProblem(problem).status,
      problem: problemBody(problem, c.get("requestId")),
    });
    c.get("rate")?.charge(Math.ceil(body.watches.length / itemsPerRequest) - 1);
    const parsed = await turns.map(c.get("account").id, body.watches, (item) => watchRequestSchema.safeParse(item));
    const trace = traceOf(c);
    const requests = parsed.flatMap((item) => (item.success ? [watchRequestOf(item.data, trace)] : []));
    const faults = parsed.map((item) => (item.success ? null : problemResult(unprocessable(pointerErrors(item.error)).problem)));
    return {
      mostAnswerBytes: () =>
        parsed.reduce((sum, item, index) => sum + (item.success ? mostResultBytes(item.data) : byteLengthOf(faults[index])), 0),
      act: (keyed) => registration.registerBatch(c.get("account"), requests, keyed, actorOf(c)),
      answer: ({ outcomes }) => {
        let next = 0;
        const results = faults.map((fault) => {
          if (fault !== null) return fault;
          const outcome = outcomes[next++];
          if (outcome === undefined) throw new Error("every request has an outcome");
          return "view" in outcome ? accepted(outcome) : problemResult(refusalError(outcome).problem);
        });
        return { status: 200, body: { results } };
      },
    };
  });

  addOperation(app, listWatches, async (c, { query }) => {
    const request = { ...pageRequestOf(c, query), status: query.status ?? null, callSid: query.call_sid ?? null };
    const { metadata } = query;
    const page = await (Object.keys(metadata).length === 0
      ? store.listWatches(request)
      : store.listWatchesByMetadata({ ...request, metadata }));
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
        await admit(c, dependencies);
        view = await store.getWatch(accountId, params.id);
        if (end !== "event" || isNext()) break;
      }
      if (view === null) throw notFound("watch");
      return c.json(watchJson(view, live, clock.nowMs()));
    } finally {
      abort.abort();
    }
  });

  addOperation(app, patchWatch, async (c, { params, body }) => {
    const outcome = await registration.changeWatch(c.get("account"), params.id, watchChangeOf(body));
    if (outcome.kind === "unknown") throw notFound("watch");
    if (outcome.kind === "ended") throw new ProblemError({ slug: "watch-ended" });
    if (outcome.kind === "changed") return c.json(watchJson(outcome.view, live, clock.nowMs()));
    throw refusalError(outcome);
  });

  addOperation(app, deleteWatch, async (c, { params, query }) => {
    const known = await registration.removeWatch(c.get("account"), params.id, query.purge === "true", actorOf(c));
    if (!known) throw notFound("watch");
    return c.body(null, 204);
  });

  addOperation(app, listWatchEvents, async (c, { params, query }) => {
    const page = await store.listWatchEvents({ ...pageRequestOf(c, query), watchId: params.id });
    if (page === null) throw notFound("watch");
    return c.json({ data: page.data.map(eventJson), next_cursor: page.nextCursor });
  });
}

import { actorOf } from "../operations/actor.ts";
import { z } from "@hono/zod-openapi";
import type { OpenAPIHono } from "@hono/zod-openapi";
import { filterByNames, unfiltered } from "../../domain/events/event-filter.ts";
import { flatPayload } from "../../domain/events/payload.ts";
import type { Env, HttpDependencies } from "../operations/dependencies.ts";
import type { HookOutcome } from "../../ports/use-cases/registration.ts";
import { addOperation, defineOperation, pageRequestOf } from "../operations/operation.ts";
import { addPostOperation, definePostOperation } from "../operations/post-operation.ts";
import type { Post } from "../operations/post-operation.ts";
import { notFound } from "../operations/problem.ts";
import { refusalError } from "../operations/refusal.ts";
import { eventsToTry, sampleEvents } from "../operations/sample-events.ts";
import { hookFilterQuery } from "../schemas/event-filter.ts";
import { idParam, isBlank, orBlank, pageQuery } from "../schemas/fields.ts";
import { hookRequestOf, hookRequestSchema } from "../schemas/hook-request.ts";
import { hookExample, hookSchema, pageExample, pageSchema } from "../schemas/answers.ts";
import { flatEventSchema, flatOperationalSchema } from "../schemas/webhook.ts";
import { hookJson } from "../schemas/json.ts";
import { unknownDetail } from "../schemas/problem-catalogue.ts";

const tag = "Hooks";
const hookId = idParam("hk", "1kw4kg04000", "hook");
// Any id of this shape is answered 204, because tools repeat a DELETE until they receive a 204. Another shape is a mistake in a template.
const removableId = z.object({
  id: z
    .string()
    .regex(/^hk_[0-9A-Za-z]{1,64}$/, unknownDetail("hook"))
    .openapi({
      description: "Id of the hook.",
      param: { name: "id", in: "path", description: "Id of the hook." },
      example: "hk_1kw4kg04000",
    }),
});

const sampleExample = sampleEvents(filterByNames(["call.failure"]), Date.UTC(2026, 10, 24, 12)).map(flatPayload);
const knownHookExample = { ...hookExample, secret: null, ignored: [] };

const sampleSchema = z.array(z.union([flatEventSchema, flatOperationalSchema])).openapi("FlatEvents", { example: sampleExample });

const createHook = definePostOperation({
  path: "/v1/hooks",
  operationId: "createHook",
  scope: "endpoints",
  tag,
  summary: "Subscribe to every call",
  description:
    "Subscribes a REST hook, which is sent each transition once per call, even if several watches cover the call. A blank text, null or an empty list is read as if its key were left out. A repeat with the same URL, events and conditions is answered 200 with the same id.",
  body: hookRequestSchema,
  answers: {
    200: { description: "The hook existed already.", schema: hookSchema, example: { ...hookExample, secret: null } },
    201: { description: "Subscribed.", schema: hookSchema, example: hookExample },
  },
  problems: ["quota-exceeded", "endpoint-differs", "blocked-address"],
});

/** Filter of the sample. Blank names are as if left out, because a tool fills the list from a form. */
const sampleEventQuery = z.preprocess(
  (list) =>
    typeof list === "string"
      ? list
          .split(",")
          .filter((name) => !isBlank(name))
          .join(",") || undefined
      : list,
  hookFilterQuery,
);

const sampleHook = defineOperation({
  method: "get",
  path: "/v1/hooks/sample",
  operationId: "sampleHook",
  scope: "read",
  tag,
  summary: "Sample events",
  description:
    "A bare array in the live (flat) schema: recent events of the account, or synthetic ones if it has none. The newest success and the newest failure come first, then the others, newest first.",
  query: z.strictObject({ event: sampleEventQuery, limit: orBlank(pageQuery.limit.default(3)) }),
  answers: { 200: { description: "Events.", schema: sampleSchema, example: sampleExample } },
});

const listHooks = defineOperation({
  method: "get",
  path: "/v1/hooks",
  operationId: "listHooks",
  scope: "read",
  tag,
  summary: "List hooks",
  description: "Newest first.",
  query: z.strictObject(pageQuery),
  answers: { 200: { description: "A page of hooks.", schema: pageSchema(hookSchema), example: pageExample(knownHookExample) } },
});

const getHook = defineOperation({
  method: "get",
  path: "/v1/hooks/{id}",
  operationId: "getHook",
  scope: "read",
  tag,
  summary: "Read a hook",
  description: "The secret is never shown again.",
  params: hookId,
  answers: { 200: { description: "The hook.", schema: hookSchema, example: knownHookExample } },
  problems: ["not-found"],
});

const deleteHook = defineOperation({
  method: "delete",
  path: "/v1/hooks/{id}",
  operationId: "deleteHook",
  scope: "endpoints",
  tag,
  summary: "Unsubscribe",
  description: "204 also if the hook is gone already. Deliveries pending for this hook alone are canceled.",
  params: removableId,
  answers: { 204: { description: "The hook is gone." } },
  problems: ["not-found"],
});

/** Routes of REST hooks, which cover every call of the account. */
export function addHookRoutes(app: OpenAPIHono<Env>, { registration, store, idempotency, clock }: HttpDependencies): void {
  addPostOperation(app, idempotency, createHook, (c, { body }): Post<HookOutcome> => {
    const { request, ignored } = hookRequestOf(body);
    return {
      act: (keyed) => registration.registerHook(c.get("account"), request, keyed, actorOf(c)),
      answer: (outcome) => {
        if (!("view" in outcome)) throw refusalError(outcome);
        const hook = hookJson(outcome.view, clock.nowMs(), { secret: outcome.secret, ignored });
        return { status: outcome.kind === "created" ? 201 : 200, body: hook };
      },
    };
  });

  addOperation(app, sampleHook, async (c, { query }) => {
    const events = await eventsToTry(store, c.get("account").id, query.event ?? unfiltered, query.limit, clock.nowMs());
    return c.json(events.map(flatPayload));
  });

  addOperation(app, listHooks, async (c, { query }) => {
    const page = await store.listHooks(pageRequestOf(c, query));
    const nowMs = clock.nowMs();
    return c.json({ data: page.data.map((view) => hookJson(view, nowMs, { secret: null, ignored: [] })), next_cursor: page.nextCursor });
  });

  addOperation(app, getHook, async (c, { params }) => {
    const view = await store.getHook(c.get("account").id, params.id);
    if (view === null) throw notFound("hook");
    return c.json(hookJson(view, clock.nowMs(), { secret: null, ignored: [] }));
  });

  addOperation(app, deleteHook, async (c, { params }) => {
    await registration.removeHook(c.get("account"), params.id, actorOf(c));
    return c.body(null, 204);
  });
}

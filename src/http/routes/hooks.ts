import { z } from "@hono/zod-openapi";
import type { OpenAPIHono } from "@hono/zod-openapi";
import { filterByNames, selectTypes, unfiltered } from "../../domain/events/event-filter.ts";
import { flatPayload } from "../../domain/events/payload.ts";
import type { Env, HttpDependencies } from "../operations/dependencies.ts";
import type { HookOutcome } from "../../ports/use-cases/registration.ts";
import { addOperation, defineOperation, invalidBody, pageRequestOf } from "../operations/operation.ts";
import { addPostOperation, definePostOperation } from "../operations/post-operation.ts";
import type { Post } from "../operations/post-operation.ts";
import { notFound } from "../operations/problem.ts";
import { refusalError } from "../operations/refusal.ts";
import { ledBy, outcomeTypesOf, sampleEvents } from "./sample-events.ts";
import { hookFilterFields, hookFilterOf, hookFilterQuery } from "../schemas/event-filter.ts";
import { endpointFields, endpointRequestOf, idParam, isBlank, orBlank, pageQuery, urlField } from "../schemas/fields.ts";
import { hookExample, hookSchema, pageExample, pageSchema } from "../schemas/answers.ts";
import { flatEventSchema, flatOperationalSchema } from "../schemas/webhook.ts";
import { hookJson } from "../schemas/json.ts";
import { unknownDetail } from "../schemas/problem-catalogue.ts";

const tag = "Hooks";
const urlKeys = ["url", "target_url", "targetUrl", "hookUrl"] as const;
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

// Keys whose blank value is read as if the key were left out, because no-code tools send every field of a form.
const optionalKeys: ReadonlySet<string> = new Set([...urlKeys, ...Object.keys(hookFilterFields), ...Object.keys(endpointFields)]);

function withoutBlanks(body: unknown): unknown {
  if (typeof body !== "object" || body === null || Array.isArray(body)) return body;
  return Object.fromEntries(Object.entries(body).filter(([key, value]) => !optionalKeys.has(key) || !isBlank(value)));
}

// Unknown keys are not refused but listed in the answer, because automation tools send extra keys.
const aliasField = urlField.optional().openapi({ description: "Read as `url` if that is left out." });

const hookRequestObject = z
  .looseObject(
    {
      url: urlField.optional().openapi({ description: "URL that is sent the events." }),
      target_url: aliasField,
      targetUrl: aliasField,
      hookUrl: aliasField,
      ...hookFilterFields,
      ...endpointFields,
    },
    "must be an object",
  )
  .openapi("HookRequest", {
    description: "One of `url`, `target_url`, `targetUrl` and `hookUrl` is required. Other keys are ignored and named in the answer.",
    example: { url: "https://hooks.zapier.com/hooks/standard/1/abc/", events: ["terminal"] },
  });
const hookRequestSchema = z.preprocess(withoutBlanks, hookRequestObject);

const sampleExample = sampleEvents(filterByNames(["call.failure"]), Date.UTC(2026, 10, 24, 12)).map(flatPayload);
const knownHookExample = { ...hookExample, secret: null, ignored: [] };

const sampleSchema = z.array(z.union([flatEventSchema, flatOperationalSchema])).openapi("FlatEvents", { example: sampleExample });

const createHook = definePostOperation({
  path: "/v1/hooks",
  operationId: "createHook",
  tag,
  summary: "Subscribe to every call",
  description:
    "Subscribes a REST hook, which is sent each transition once per call, even if several watches cover the call. A blank text, null or an empty list is read as if its key were left out. A repeat with the same URL and events is answered 200 with the same id.",
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
    const urlKey = urlKeys.find((key) => body[key] !== undefined);
    if (urlKey === undefined) throw invalidBody("/url", "is required (also read as target_url, targetUrl or hookUrl)");
    const { filter, keys } = hookFilterOf(body);
    const request = {
      url: body[urlKey] ?? "",
      urlKey,
      filter,
      ...endpointRequestOf(body),
    };
    const read = new Set([urlKey, ...keys, ...Object.keys(endpointFields)]);
    const ignored = Object.keys(body).filter((key) => !read.has(key));
    return {
      act: (keyed) => registration.registerHook(c.get("account"), request, keyed),
      answer: (outcome) => {
        if (!("view" in outcome)) throw refusalError(outcome);
        const hook = hookJson(outcome.view, clock.nowMs(), { secret: outcome.secret, ignored });
        return { status: outcome.kind === "created" ? 201 : 200, body: hook };
      },
    };
  });

  addOperation(app, sampleHook, async (c, { query }) => {
    const filter = query.event ?? unfiltered;
    const accountId = c.get("account").id;
    const newestOf = (type: string) => store.listRecentEvents({ accountId, types: [type], orTerminal: false, limit: 1 });
    const [recent, ...outcomes] = await Promise.all([
      store.listRecentEvents({ accountId, ...selectTypes(filter), limit: query.limit }),
      ...outcomeTypesOf(filter).map(newestOf),
    ]);
    const events = recent.length > 0 ? ledBy(outcomes.flat(), recent) : sampleEvents(filter, clock.nowMs());
    return c.json(events.slice(0, query.limit).map(flatPayload));
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
    await registration.removeHook(c.get("account"), params.id);
    return c.body(null, 204);
  });
}

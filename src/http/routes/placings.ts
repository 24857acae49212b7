import { actorOf } from "../operations/actor.ts";
import { z } from "@hono/zod-openapi";
import type { OpenAPIHono } from "@hono/zod-openapi";
import { placingStates } from "../../domain/calls/placing.ts";
import type { PlaceOutcome, ResolveOutcome } from "../../ports/use-cases/placing.ts";
import type { Env, HttpDependencies } from "../operations/dependencies.ts";
import { addOperation, defineOperation, pageRequestOf } from "../operations/operation.ts";
import { addPostOperation, definePostOperation } from "../operations/post-operation.ts";
import type { Post } from "../operations/post-operation.ts";
import { placeAnswerOf, storedPlaceAnswer } from "../operations/placing-answer.ts";
import { notFound, ProblemError } from "../operations/problem.ts";
import { refusalError } from "../operations/refusal.ts";
import { pageExample, pageSchema, watchExample, watchSchema } from "../schemas/answers.ts";
import { idParam, pageQuery } from "../schemas/fields.ts";
import { placingExample, placingJson, placingSchema, resolveSchema, watchGoneSchema } from "../schemas/placing.ts";
import { traceOf } from "../operations/request-guards.ts";
import { placeRequestOf, placeRequestSchema } from "../schemas/watch-request.ts";

const tag = "Calls";

const placeCall = definePostOperation({
  path: "/v1/calls",
  operationId: "placeCall",
  scope: "place",
  tag,
  summary: "Place a call and watch it",
  description:
    "Sends the upstream's trigger once, never again, and watches the call. `Idempotency-Key` is required and counts for the retention time, at least 7 days: a repeat gets 409 while the trigger is out, then the same answer. A refusal frees the key. Where the outcome is not known (502 `call-unknown`) the call may ring, and a person resolves the placing. A repeat after the watch was deleted is answered with its id alone.",
  body: placeRequestSchema,
  needsKey: true,
  answers: {
    201: { description: "Placed and watched.", schema: z.union([watchSchema, watchGoneSchema]), example: watchExample },
  },
  problems: [
    "idempotency-key-required",
    "no-source",
    "cannot-place",
    "blocked-address",
    "endpoint-differs",
    "quota-exceeded",
    "source-saturated",
    "source-suspended",
    "may-not-place",
    "placing-limit",
    "call-refused",
    "source-refused",
    "upstream-rate-limited",
    "upstream-unreachable",
    "call-unknown",
  ],
});

const listPlacings = defineOperation({
  method: "get",
  path: "/v1/placings",
  operationId: "listPlacings",
  scope: "read",
  tag,
  summary: "List placings",
  description: "Calls that were asked for, newest first.",
  query: z.strictObject({
    ...pageQuery,
    state: z
      .enum(placingStates, "must be sending, placed, unknown or resolved")
      .optional()
      .openapi({ description: "Only placings in this state." }),
  }),
  answers: { 200: { description: "A page of placings.", schema: pageSchema(placingSchema), example: pageExample(placingExample) } },
});

const resolvePlacing = definePostOperation({
  path: "/v1/placings/{id}/resolve",
  operationId: "resolvePlacing",
  scope: "place",
  tag,
  summary: "Resolve an unknown placing",
  description:
    "A SID makes the watch that was asked for, with which the key is answered from then on. Null says that nothing rang, and frees the key.",
  params: idParam("plc", "1kw4kg04000", "placing"),
  body: resolveSchema,
  answers: { 200: { description: "Resolved.", schema: placingSchema, example: { ...placingExample, state: "resolved" } } },
  problems: ["not-found", "placing-settled", "no-source", "blocked-address"],
});

/** Routes that place calls, and settle those whose outcome is not known. */
export function addPlacingRoutes(app: OpenAPIHono<Env>, { placing, store, idempotency, live, clock }: HttpDependencies): void {
  const answerOf = (outcome: PlaceOutcome) => placeAnswerOf(outcome, { live, clock });
  const storableOf = storedPlaceAnswer({ live, clock });

  addPostOperation(app, placing, placeCall, (c, { body }): Post<PlaceOutcome> => ({
    act: (keyed) => {
      if (keyed === null) throw new Error("a placing has a key");
      return placing.place(c.get("account"), placeRequestOf(body, traceOf(c)), keyed, actorOf(c));
    },
    answer: answerOf,
  }));

  addOperation(app, listPlacings, async (c, { query }) => {
    const page = await store.listPlacings({ ...pageRequestOf(c, query), state: query.state ?? null });
    return c.json({ data: page.data.map(placingJson), next_cursor: page.nextCursor });
  });

  addPostOperation(app, idempotency, resolvePlacing, (c, { params, body }): Post<ResolveOutcome> => ({
    act: (keyed) => placing.resolve(c.get("account"), params.id, body.call_sid, { keyed, answerOf: storableOf, by: actorOf(c) }),
    answer: (outcome) => {
      if (outcome.kind === "resolved") return { status: 200, body: placingJson(outcome.placing) };
      if (outcome.kind === "unknown") throw notFound("placing");
      if (outcome.kind === "settled") throw new ProblemError({ slug: "placing-settled" });
      throw refusalError(outcome);
    },
  }));
}

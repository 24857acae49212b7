import { actorOf } from "../operations/actor.ts";
import { z } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { OpenAPIHono } from "@hono/zod-openapi";
import { isoTime } from "../../domain/events/payload.ts";
import type { RotationOutcome } from "../../ports/use-cases/endpoint-settings.ts";
import type { RecoverOutcome, TestOutcome } from "../../ports/use-cases/manual-delivery.ts";
import type { EndpointView } from "../../ports/stores/read-store.ts";
import type { Env, HttpDependencies } from "../operations/dependencies.ts";
import { manualError } from "../operations/manual-delivery-problem.ts";
import { addOperation, defineOperation, invalidBody, pageRequestOf } from "../operations/operation.ts";
import { addPostOperation, definePostOperation } from "../operations/post-operation.ts";
import type { Post } from "../operations/post-operation.ts";
import { notFound } from "../operations/problem.ts";
import { endpointChangeOf, endpointPatchSchema, rotationOf, rotationSchema } from "../schemas/endpoint-change.ts";
import { idParam, noBodySchema, pageQuery, timeField } from "../schemas/fields.ts";
import { attemptExample, attemptSchema, endpointExample, endpointSchema, pageExample, pageSchema } from "../schemas/answers.ts";
import { timeSchema } from "../schemas/parts.ts";
import { attemptJson, endpointJson } from "../schemas/json.ts";

const tag = "Endpoints";
const endpointId = idParam("ep", "1kw4kg04000", "endpoint");
const rotatedExample = { signing_secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", previous_valid_until: "2026-11-25T12:00:00.000Z" };

const rotatedSchema = z
  .object({
    signing_secret: z.string().openapi({ description: "The new secret, shown once." }),
    previous_valid_until: timeSchema.openapi({ description: "Until when the previous secret signs too." }),
  })
  .openapi("RotatedSecret", { example: rotatedExample });

const recoverSchema = z
  .strictObject(
    {
      since: timeField.optional().openapi({ description: "Beginning of the span; that of the retention if left out." }),
      until: timeField.optional().openapi({ description: "End of the span; now if left out." }),
    },
    "must be an object",
  )
  .openapi("Recovery", { example: { since: "2026-11-24T00:00:00.000Z" } });

const recoveredExample = { recovered: 12, hurried: 3, more: false };
const recoveredSchema = z
  .object({
    recovered: z
      .number()
      .int()
      .nullable()
      .openapi({ description: "Number of deliveries that are pending again, at most 1,000; null if `more` is true." }),
    hurried: z.number().int().nullable().openapi({
      description:
        "Number of deliveries that were pending, waited for their next attempt and are due now, at most 1,000; null if `more` is true.",
    }),
    more: z.boolean().openapi({
      description: "Whether there are more than are counted. The work then follows in portions, and the endpoint shows its backlog.",
    }),
  })
  .openapi("Recovered", { example: recoveredExample });
const testedExample = { ...attemptExample, status_code: 204, error: null, response_excerpt: "", decision: "delivered" };

const listEndpoints = defineOperation({
  method: "get",
  path: "/v1/endpoints",
  operationId: "listEndpoints",
  scope: "read",
  tag,
  summary: "List endpoints",
  description: "Newest first.",
  query: z.strictObject(pageQuery),
  answers: { 200: { description: "A page of endpoints.", schema: pageSchema(endpointSchema), example: pageExample(endpointExample) } },
});

const getEndpoint = defineOperation({
  method: "get",
  path: "/v1/endpoints/{id}",
  operationId: "getEndpoint",
  scope: "read",
  tag,
  summary: "Read an endpoint",
  description: "State with reason and time, health and backlog; never a secret.",
  params: endpointId,
  answers: { 200: { description: "The endpoint.", schema: endpointSchema, example: endpointExample } },
  problems: ["not-found"],
});

const patchEndpoint = defineOperation({
  method: "patch",
  path: "/v1/endpoints/{id}",
  operationId: "patchEndpoint",
  scope: "endpoints",
  tag,
  summary: "Change an endpoint",
  description: "Keys left out keep their value. `headers` replaces all headers. Enabling sends pending deliveries in order.",
  params: endpointId,
  body: endpointPatchSchema,
  answers: { 200: { description: "The endpoint as it is now.", schema: endpointSchema, example: endpointExample } },
  problems: ["not-found"],
});

const rotateSecret = definePostOperation({
  path: "/v1/endpoints/{id}/rotate-secret",
  operationId: "rotateSecret",
  scope: "endpoints",
  tag,
  summary: "Rotate the signing secret",
  description:
    "The new secret signs from now on and is shown once; the previous one signs too until the grace ends. The current secret given again keeps the previous one, no longer than before.",
  params: endpointId,
  body: rotationSchema,
  bodyKind: "optional",
  answers: { 200: { description: "The new secret.", schema: rotatedSchema, example: rotatedExample } },
  problems: ["not-found"],
});

const testEndpoint = definePostOperation({
  path: "/v1/endpoints/{id}/test",
  operationId: "testEndpoint",
  scope: "endpoints",
  tag,
  summary: "Send a test event",
  description:
    "Sends `endpoint.test` now, on the same path as any delivery. A test never counts for or against disabling. An `Idempotency-Key` covers the acceptance: a repeat with the same key sends no second test.",
  params: endpointId,
  body: noBodySchema,
  bodyKind: "optional",
  answers: { 200: { description: "The attempt.", schema: attemptSchema, example: testedExample } },
  problems: ["not-found", "endpoint-disabled", "interrupted"],
});

const recoverEndpoint = definePostOperation({
  path: "/v1/endpoints/{id}/recover",
  operationId: "recoverEndpoint",
  scope: "endpoints",
  tag,
  summary: "Requeue failed deliveries, and make waiting ones due",
  description:
    "For events recorded in the span. Every delivery that is `exhausted`, `failed` or `expired` becomes pending again, with a new schedule, and is due now. " +
    "Every delivery that is pending and waits for its next attempt is due now, too. It keeps its schedule, so a failure spends the next step. " +
    "Deliveries on the wire, tests and deliveries of deleted watches stay as they are. " +
    "Order, limits and pauses of the endpoint and its host still hold. A disabled endpoint is a 409: enable it first.",
  params: endpointId,
  body: recoverSchema,
  bodyKind: "optional",
  answers: {
    202: { description: "Number of deliveries that are pending again or due now.", schema: recoveredSchema, example: recoveredExample },
  },
  problems: ["not-found", "endpoint-disabled"],
});

/** Routes of endpoints: read, change, rotate, test, recover. */
export function addEndpointRoutes(
  app: OpenAPIHono<Env>,
  { store, endpointSettings, manualDelivery, idempotency, clock, endpointMaxInFlight }: HttpDependencies,
): void {
  const shown = async (accountId: string, views: readonly EndpointView[]) => {
    const nowMs = clock.nowMs();
    const counted = await store.countAttempts({ accountId, endpointIds: views.map(({ endpoint }) => endpoint.id), nowMs });
    const attempts = new Map(counted.map(({ endpointId, ...recent }) => [endpointId, recent]));
    return views.map((view) => endpointJson(view, nowMs, endpointMaxInFlight, attempts.get(view.endpoint.id)));
  };
  const shownAlone = async (c: Context<Env>, view: EndpointView) => (await shown(c.get("account").id, [view]))[0];

  addOperation(app, listEndpoints, async (c, { query }) => {
    const page = await store.listEndpoints(pageRequestOf(c, query));
    return c.json({ data: await shown(c.get("account").id, page.data), next_cursor: page.nextCursor });
  });

  addOperation(app, getEndpoint, async (c, { params }) => {
    const view = await store.getEndpoint(c.get("account").id, params.id);
    if (view === null) throw notFound("endpoint");
    return c.json(await shownAlone(c, view));
  });

  addOperation(app, patchEndpoint, async (c, { params, body }) => {
    const view = await endpointSettings.patch(c.get("account"), params.id, endpointChangeOf(body), actorOf(c));
    if (view === null) throw notFound("endpoint");
    return c.json(await shownAlone(c, view));
  });

  addPostOperation(app, idempotency, rotateSecret, (c, { params, body }): Post<RotationOutcome> => ({
    act: (keyed) => endpointSettings.rotateSecret(c.get("account"), params.id, rotationOf(body), keyed, actorOf(c)),
    answer: (outcome) => {
      if (outcome.kind === "unknown") throw notFound("endpoint");
      const { signingSecret, previousValidUntilMs } = outcome;
      return { status: 200, body: { signing_secret: signingSecret, previous_valid_until: isoTime(previousValidUntilMs) } };
    },
  }));

  addPostOperation(app, idempotency, testEndpoint, (c, { params }): Post<TestOutcome> => ({
    act: (keyed) => manualDelivery.test(c.get("account"), params.id, keyed),
    answer: (outcome) => {
      if (outcome.kind !== "attempted") throw manualError(outcome, "endpoint");
      return { status: 200, body: attemptJson(outcome.attempt) };
    },
  }));

  addPostOperation(app, idempotency, recoverEndpoint, (c, { params, body }): Post<RecoverOutcome> => {
    const { since: sinceMs = 0, until: untilMs = clock.nowMs() } = body;
    if (untilMs < sinceMs)
      throw body.until === undefined
        ? invalidBody("/since", "must not be in the future")
        : invalidBody("/until", "must not be before since");
    return {
      act: (keyed) => manualDelivery.recover(c.get("account"), params.id, { sinceMs, untilMs }, keyed, actorOf(c)),
      answer: (outcome) => {
        if (outcome.kind !== "recovered") throw manualError(outcome, "endpoint");
        return { status: 202, body: { recovered: outcome.recovered, hurried: outcome.hurried, more: outcome.more } };
      },
    };
  });
}

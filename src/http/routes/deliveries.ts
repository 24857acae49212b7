import { actorOf } from "../operations/actor.ts";
import { deliveryStatuses } from "../../domain/deliveries/delivery.ts";
import { z } from "@hono/zod-openapi";
import type { OpenAPIHono } from "@hono/zod-openapi";
import type { Env, HttpDependencies } from "../operations/dependencies.ts";
import type { RetryOutcome } from "../../ports/use-cases/manual-delivery.ts";
import { manualError } from "../operations/manual-delivery-problem.ts";
import { addOperation, defineOperation, pageRequestOf } from "../operations/operation.ts";
import { addPostOperation, definePostOperation } from "../operations/post-operation.ts";
import type { Post } from "../operations/post-operation.ts";
import { notFound } from "../operations/problem.ts";
import { idParam, idQuery, noBodySchema, pageQuery } from "../schemas/fields.ts";
import {
  deliveryExample,
  deliverySchema,
  deliveryWithAttemptsExample,
  deliveryWithAttemptsSchema,
  pageExample,
  pageSchema,
} from "../schemas/answers.ts";
import { attemptJson, deliveryJson } from "../schemas/json.ts";

const tag = "Deliveries";
const deliveryId = idParam("dlv", "1kw4kg04000", "delivery");
const retriedExample = { ...deliveryExample, explain: "attempt 2 is being made" };

const listDeliveries = defineOperation({
  method: "get",
  path: "/v1/deliveries",
  operationId: "listDeliveries",
  scope: "read",
  tag,
  summary: "List deliveries",
  description: "Newest first.",
  query: z.strictObject({
    ...pageQuery,
    endpoint_id: idQuery("ep", "an endpoint"),
    watch_id: idQuery("wch", "a watch"),
    status: z
      .enum(deliveryStatuses, `must be one of ${deliveryStatuses.join(", ")}`)
      .optional()
      .openapi({ description: "Only deliveries in this state." }),
  }),
  answers: { 200: { description: "A page of deliveries.", schema: pageSchema(deliverySchema), example: pageExample(deliveryExample) } },
});

const getDelivery = defineOperation({
  method: "get",
  path: "/v1/deliveries/{id}",
  operationId: "getDelivery",
  scope: "read",
  tag,
  summary: "Read a delivery with its attempts",
  description: "Each attempt has the first KiB of its answer.",
  params: deliveryId,
  answers: { 200: { description: "The delivery.", schema: deliveryWithAttemptsSchema, example: deliveryWithAttemptsExample } },
  problems: ["not-found"],
});

const retryDelivery = definePostOperation({
  path: "/v1/deliveries/{id}/retry",
  operationId: "retryDelivery",
  scope: "endpoints",
  tag,
  summary: "Retry now",
  description:
    "Makes one attempt ahead of schedule, pause and order. A success settles the delivery; a failure leaves its schedule unchanged.",
  params: deliveryId,
  body: noBodySchema,
  bodyKind: "optional",
  answers: { 202: { description: "The attempt is accepted.", schema: deliverySchema, example: retriedExample } },
  problems: ["not-found", "endpoint-disabled", "watch-deleted", "in-flight"],
});

/** Routes of deliveries: read, retry. */
export function addDeliveryRoutes(app: OpenAPIHono<Env>, { store, manualDelivery, idempotency, clock }: HttpDependencies): void {
  addOperation(app, listDeliveries, async (c, { query }) => {
    const filter = { endpointId: query.endpoint_id ?? null, watchId: query.watch_id ?? null, status: query.status ?? null };
    const page = await store.listDeliveries({ ...pageRequestOf(c, query), ...filter });
    const nowMs = clock.nowMs();
    return c.json({ data: page.data.map((view) => deliveryJson(view, nowMs)), next_cursor: page.nextCursor });
  });

  addOperation(app, getDelivery, async (c, { params }) => {
    const found = await store.getDelivery(c.get("account").id, params.id);
    if (found === null) throw notFound("delivery");
    return c.json({ ...deliveryJson(found.view, clock.nowMs()), attempts: found.attempts.map(attemptJson) });
  });

  addPostOperation(app, idempotency, retryDelivery, (c, { params }): Post<RetryOutcome> => ({
    act: (keyed) => manualDelivery.retry(c.get("account"), params.id, keyed, actorOf(c)),
    answer: (outcome) => {
      if (outcome.kind !== "accepted") throw manualError(outcome, "delivery");
      return { status: 202, body: deliveryJson(outcome.view, clock.nowMs()) };
    },
  }));
}

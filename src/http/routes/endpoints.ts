import { z } from "@hono/zod-openapi";
import type { OpenAPIHono } from "@hono/zod-openapi";
import { isoTime } from "../../domain/events/payload.ts";
import type { EndpointChange, RotationOutcome } from "../../ports/use-cases/endpoint-settings.ts";
import type { RecoverOutcome, TestOutcome } from "../../ports/use-cases/manual-delivery.ts";
import type { EndpointView } from "../../ports/stores/read-store.ts";
import type { Env, HttpDependencies } from "../operations/dependencies.ts";
import { manualError } from "../operations/manual-delivery-problem.ts";
import { addOperation, defineOperation, invalidBody, pageRequestOf } from "../operations/operation.ts";
import { addPostOperation, definePostOperation } from "../operations/post-operation.ts";
import type { Post } from "../operations/post-operation.ts";
import { notFound } from "../operations/problem.ts";
import {
  formatField,
  headersField,
  idParam,
  noBodySchema,
  pageQuery,
  signingSecretField,
  timeField,
  wholeField,
} from "../schemas/fields.ts";
import { attemptExample, attemptSchema, endpointExample, endpointSchema, pageExample, pageSchema } from "../schemas/answers.ts";
import { timeSchema } from "../schemas/parts.ts";
import { attemptJson, endpointJson } from "../schemas/json.ts";

const tag = "Endpoints";
const endpointId = idParam("ep", "1kw4kg04000", "endpoint");
const maxGraceSeconds = 604_800;
const defaultGraceSeconds = 86_400;

const patchSchema = z
  .strictObject(
    {
      format: formatField.optional(),
      headers: headersField.optional(),
      max_in_flight: wholeField(1, 1000).optional().openapi({ description: "Maximum number of webhooks in flight." }),
      max_per_second: z
        .number("must be a number or null")
        .min(0.1, "must be at least 0.1")
        .max(10_000, "must be at most 10000")
        .nullable()
        .optional()
        .openapi({ description: "Maximum number of webhooks a second; null for none." }),
      signatures: z
        .array(z.enum(["v1", "v1a"], "must be v1 or v1a"), "must be a list")
        .refine((list) => list.includes("v1") && new Set(list).size === list.length, 'must be ["v1"] or ["v1", "v1a"]')
        .optional()
        .openapi({ description: "Signatures of each webhook: HMAC-SHA256 alone, or ed25519 beside it." }),
      late: z
        .enum(["send", "drop"], "must be send or drop")
        .optional()
        .openapi({ description: "`drop`: an earlier event is superseded once a later one of the watch was delivered." }),
      state: z
        .enum(["enabled", "paused", "disabled"], "must be enabled, paused or disabled")
        .optional()
        .openapi({ description: "New state of the endpoint." }),
    },
    "must be an object",
  )
  .openapi("EndpointPatch", { example: { max_in_flight: 8, late: "drop" } });

const rotateSchema = z
  .strictObject(
    {
      grace_seconds: wholeField(0, maxGraceSeconds)
        .optional()
        .openapi({ description: "How long the previous secret signs too; 86400 if left out." }),
      signing_secret: signingSecretField.optional(),
    },
    "must be an object",
  )
  .openapi("SecretRotation", { example: { grace_seconds: defaultGraceSeconds } });

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
      since: timeField.openapi({ description: "Beginning of the span." }),
      until: timeField.optional().openapi({ description: "End of the span; now if left out." }),
    },
    "must be an object",
  )
  .openapi("Recovery", { example: { since: "2026-11-24T00:00:00.000Z" } });

const recoveredExample = { recovered: 12 };
const recoveredSchema = z
  .object({ recovered: z.number().int().openapi({ description: "Number of deliveries that are pending again." }) })
  .openapi("Recovered", { example: recoveredExample });
const testedExample = { ...attemptExample, status_code: 204, error: null, response_excerpt: "", decision: "delivered" };

const listEndpoints = defineOperation({
  method: "get",
  path: "/v1/endpoints",
  operationId: "listEndpoints",
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
  tag,
  summary: "Change an endpoint",
  description: "Keys left out keep their value. `headers` replaces all headers. Enabling sends pending deliveries in order.",
  params: endpointId,
  body: patchSchema,
  answers: { 200: { description: "The endpoint as it is now.", schema: endpointSchema, example: endpointExample } },
  problems: ["not-found"],
});

const rotateSecret = definePostOperation({
  path: "/v1/endpoints/{id}/rotate-secret",
  operationId: "rotateSecret",
  tag,
  summary: "Rotate the signing secret",
  description: "The new secret signs from now on and is shown once; the previous one signs too until the grace ends.",
  params: endpointId,
  body: rotateSchema,
  bodyKind: "optional",
  answers: { 200: { description: "The new secret.", schema: rotatedSchema, example: rotatedExample } },
  problems: ["not-found"],
});

const testEndpoint = definePostOperation({
  path: "/v1/endpoints/{id}/test",
  operationId: "testEndpoint",
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
  tag,
  summary: "Requeue failed deliveries",
  description:
    "Every delivery of an event in the span that is `exhausted`, `failed` or `expired` becomes pending again, with a new schedule.",
  params: endpointId,
  body: recoverSchema,
  answers: { 202: { description: "Number of deliveries that are pending again.", schema: recoveredSchema, example: recoveredExample } },
  problems: ["not-found", "endpoint-disabled"],
});

/** Routes of endpoints: read, change, rotate, test, recover. */
export function addEndpointRoutes(
  app: OpenAPIHono<Env>,
  { store, endpointSettings, manualDelivery, idempotency, clock, endpointMaxInFlight }: HttpDependencies,
): void {
  const shown = (view: EndpointView) => endpointJson(view, clock.nowMs(), endpointMaxInFlight);

  addOperation(app, listEndpoints, async (c, { query }) => {
    const page = await store.listEndpoints(pageRequestOf(c, query));
    return c.json({ data: page.data.map(shown), next_cursor: page.nextCursor });
  });

  addOperation(app, getEndpoint, async (c, { params }) => {
    const view = await store.getEndpoint(c.get("account").id, params.id);
    if (view === null) throw notFound("endpoint");
    return c.json(shown(view));
  });

  addOperation(app, patchEndpoint, async (c, { params, body }) => {
    const view = await endpointSettings.patch(c.get("account"), params.id, changeOf(body));
    if (view === null) throw notFound("endpoint");
    return c.json(shown(view));
  });

  addPostOperation(app, idempotency, rotateSecret, (c, { params, body }): Post<RotationOutcome> => ({
    act: (keyed) => {
      const request = { graceSeconds: body.grace_seconds ?? defaultGraceSeconds, signingSecret: body.signing_secret ?? null };
      return endpointSettings.rotateSecret(c.get("account"), params.id, request, keyed);
    },
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
    const untilMs = body.until ?? clock.nowMs();
    if (untilMs < body.since) throw invalidBody("/until", "must not be before since");
    return {
      act: (keyed) => manualDelivery.recover(c.get("account"), params.id, { sinceMs: body.since, untilMs }, keyed),
      answer: (outcome) => {
        if (outcome.kind !== "recovered") throw manualError(outcome, "endpoint");
        return { status: 202, body: { recovered: outcome.count } };
      },
    };
  });
}

function changeOf(body: z.infer<typeof patchSchema>): EndpointChange {
  const { max_in_flight: maxInFlight, max_per_second: maxPerSecond, ...same } = body;
  const limits = { ...(maxInFlight === undefined ? {} : { maxInFlight }), ...(maxPerSecond === undefined ? {} : { maxPerSecond }) };
  // JSON has no `undefined`, so a key that was left out is absent here too.
  return { ...same, ...limits } as EndpointChange;
}

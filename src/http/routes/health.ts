import { z } from "@hono/zod-openapi";
import type { OpenAPIHono } from "@hono/zod-openapi";
import type { Env, HttpDependencies } from "../operations/dependencies.ts";
import { addOperation, defineOperation } from "../operations/operation.ts";
import { ProblemError } from "../operations/problem.ts";

const tag = "Operation";
const readySchema = z
  .object({
    ready: z.literal(true).openapi({ description: "Registrations are accepted." }),
    degraded: z
      .array(z.string())
      .openapi({ description: "Problems that do not stop registrations.", example: ["source default: suspended"] }),
  })
  .openapi("Readiness");

const getHealth = defineOperation({
  method: "get",
  path: "/healthz",
  operationId: "getHealth",
  tag,
  summary: "Check that the process answers",
  description: "Touches neither the database nor the upstream.",
  answers: {
    200: {
      description: "The process answers.",
      schema: z.object({ status: z.literal("ok").openapi({ description: "Always `ok`." }) }),
      example: { status: "ok" },
    },
  },
  scope: null,
});

const getReadiness = defineOperation({
  method: "get",
  path: "/readyz",
  operationId: "getReadiness",
  tag,
  summary: "Check that registrations are accepted",
  description: "503 only when this process cannot accept registrations; `detail` says why. Upstream problems are 200 with `degraded`.",
  answers: {
    200: {
      description: "Registrations are accepted.",
      schema: readySchema,
      example: { ready: true, degraded: ["source default: suspended"] },
    },
  },
  problems: ["not-ready"],
  scope: null,
});

/** Routes for load balancers and operators; without a key. */
export function addHealthRoutes(app: OpenAPIHono<Env>, { live }: HttpDependencies): void {
  addOperation(app, getHealth, (c) => c.json({ status: "ok" }));

  addOperation(app, getReadiness, async (c) => {
    const { notReady, degraded } = await live.readiness();
    if (notReady === null) return c.json({ ready: true, degraded });
    throw new ProblemError({ slug: "not-ready", detail: notReady, extensions: { ready: false, degraded } });
  });
}

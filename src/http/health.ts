import { z } from "@hono/zod-openapi";
import type { OpenAPIHono } from "@hono/zod-openapi";
import type { Env, HttpDependencies } from "./dependencies.ts";
import { addOperation } from "./operation.ts";

const tag = "Operation";
const readySchema = z.object({ ready: z.boolean(), reason: z.string().nullable(), degraded: z.array(z.string()) }).openapi("Readiness");

/** For load balancers and people on call; no key. */
export function addHealthRoutes(app: OpenAPIHono<Env>, { live }: HttpDependencies): void {
  addOperation(
    app,
    {
      method: "get",
      path: "/healthz",
      operationId: "getHealth",
      tag,
      summary: "The process answers",
      answers: { 200: { description: "It does.", schema: z.object({ status: z.literal("ok") }) } },
      isPublic: true,
    },
    (c) => c.json({ status: "ok" }),
  );

  addOperation(
    app,
    {
      method: "get",
      path: "/readyz",
      operationId: "getReadiness",
      tag,
      summary: "Registrations can be accepted",
      description: "503 only when this process cannot accept registrations. Trouble upstream is 200 with `degraded`.",
      answers: { 200: { description: "They can.", schema: readySchema }, 503: { description: "They cannot; `reason` says why.", schema: readySchema } },
      isPublic: true,
    },
    async (c) => {
      const { notReady, degraded } = await live.readiness();
      return c.json({ ready: notReady === null, reason: notReady, degraded }, notReady === null ? 200 : 503);
    },
  );
}

import { stackOf } from "../../domain/error-text.ts";
import { Hono } from "hono";
import type { Logger } from "../../ports/telemetry.ts";
import type { Env } from "../operations/dependencies.ts";
import { problemOf, problemResponse } from "../operations/problem.ts";
import { requestId } from "../operations/request-guards.ts";

/** App that serves `/metrics` on a port of its own, which need not be public. */
export function createMetricsApp(
  render: () => Promise<{ readonly contentType: string; readonly body: string }>,
  logger: Pick<Logger, "error">,
): Hono<Env> {
  const app = new Hono<Env>();
  app.use(requestId);
  app.get("/metrics", async (c) => {
    const { contentType, body } = await render();
    return c.body(body, 200, { "content-type": contentType });
  });
  app.all("/metrics", (c) =>
    problemResponse(c, {
      slug: "method-not-allowed",
      detail: `${c.req.method} is not allowed here; use GET or HEAD`,
      headers: { allow: "GET, HEAD" },
    }),
  );
  app.notFound((c) => problemResponse(c, { slug: "not-found", detail: "this port serves only /metrics" }));
  app.onError((error, c) => {
    const problem = problemOf(error);
    if (problem === null) logger.error({ request_id: c.get("requestId"), error: stackOf(error) }, "metrics.failed");
    return problemResponse(c, problem ?? { slug: "internal" });
  });
  return app;
}

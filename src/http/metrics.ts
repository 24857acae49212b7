import { Hono } from "hono";

/** `/metrics` on a port of its own, which need not be public. */
export function createMetricsApp(render: () => Promise<{ readonly contentType: string; readonly body: string }>): Hono {
  const app = new Hono();
  app.get("/metrics", async (c) => {
    const { contentType, body } = await render();
    return c.body(body, 200, { "content-type": contentType });
  });
  return app;
}

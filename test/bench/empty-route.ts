import { Hono } from "hono";
import { listen } from "../../src/http/server/server.ts";

// What a POST costs that does nothing, on the very server the API runs on.

const app = new Hono();
app.post("/v1/watches", async (c) => {
  await c.req.json();
  return c.json({ id: "wch_0" }, 201);
});
const { port } = await listen(app, { host: "127.0.0.1", port: 0 });
process.send?.({ port });
process.on("SIGTERM", () => process.exit(0));
process.on("disconnect", () => process.exit(0));

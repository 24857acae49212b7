import { createHash } from "node:crypto";
import { z } from "@hono/zod-openapi";
import type { OpenAPIHono } from "@hono/zod-openapi";
import { html, raw } from "hono/html";
import type { Env } from "../operations/dependencies.ts";
import { addOperation, defineOperation } from "../operations/operation.ts";

const style = "body{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a}";

const headers = {
  "content-security-policy": `default-src 'none'; style-src 'sha256-${createHash("sha256").update(style).digest("base64")}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
  "cross-origin-opener-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-frame-options": "DENY",
};

const getStart = defineOperation({
  method: "get",
  path: "/",
  operationId: "getStart",
  tag: "Operation",
  summary: "Start page",
  description: "A page that leads to the reference and to the dashboard.",
  answers: {
    200: { description: "HTML that loads nothing.", schema: z.string(), example: "<!doctype html>…", contentType: "text/html" },
  },
  scope: null,
});

const page = html`<!doctype html>
  <html lang="en">
    <head>
      <meta charset="utf-8" />
      <meta name="viewport" content="width=device-width" />
      <title>Ringback</title>
      ${raw(`<style>${style}</style>`)}
    </head>
    <body>
      <h1>Ringback</h1>
      <p>Signed webhooks that report how calls end.</p>
      <ul>
        <li><a href="/docs">API reference</a></li>
        <li><a href="/docs/guides">Guides</a></li>
        <li><a href="/openapi.json">OpenAPI document</a></li>
        <li><a href="/dashboard">Dashboard</a>, with an API key</li>
      </ul>
    </body>
  </html>`;

/** Adds the page at the root of the service, for people who open its address in a browser. */
export function addStartPage(app: OpenAPIHono<Env>): void {
  addOperation(app, getStart, async (c) => c.html(await page, 200, headers));
}

import type { OpenAPIHono } from "@hono/zod-openapi";
import { html } from "hono/html";
import type { Env } from "./dependencies.ts";
import { openApiDocument } from "./openapi.ts";

const style =
  "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a}code{background:#f2f2f2;padding:.1em .3em}h2{margin-top:2.5rem}article{border-top:1px solid #ddd;padding:.8rem 0}";
// The page needs one style sheet and nothing else, from nowhere else.
const policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** The API on one page, made from its OpenAPI document; loads nothing. */
export function addDocsPage(app: OpenAPIHono<Env>, version: string): void {
  app.get("/docs", (c) => {
    const document = openApiDocument(app, version);
    const operations = Object.entries(document.paths ?? {}).flatMap(([path, item]) =>
      Object.entries(item).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation: operation as OperationText })),
    );
    c.header("content-security-policy", policy);
    c.header("referrer-policy", "no-referrer");
    return c.html(
      html`<!doctype html>
        <html lang="en">
          <head>
            <meta charset="utf-8" />
            <meta name="viewport" content="width=device-width" />
            <title>Ringback API</title>
            <style>
              ${style}
            </style>
          </head>
          <body>
            <h1>Ringback API ${version}</h1>
            <p>${document.info.description ?? ""} The whole description is at <a href="/openapi.json">/openapi.json</a>.</p>
            ${(document.tags ?? []).map(
              (tag) =>
                html`<h2>${tag.name}</h2>
                  <p>${tag.description ?? ""}</p>
                  ${operations
                    .filter(({ operation }) => operation.tags?.includes(tag.name) === true)
                    .map(
                      ({ path, method, operation }) =>
                        html`<article>
                          <strong><code>${method} ${path}</code></strong> ${operation.summary ?? ""}
                          <p>${operation.description ?? ""}</p>
                          <p>Answers ${Object.keys(operation.responses ?? {}).join(", ")}.</p>
                        </article>`,
                    )}`,
            )}
          </body>
        </html>`,
    );
  });
}

type OperationText = {
  readonly tags?: readonly string[];
  readonly summary?: string;
  readonly description?: string;
  readonly responses?: Readonly<Record<string, unknown>>;
};

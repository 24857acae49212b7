import { createHash } from "node:crypto";
import type { OpenAPIHono } from "@hono/zod-openapi";
import { html, raw } from "hono/html";
import type { Env } from "./dependencies.ts";
import { openApiDocument } from "./openapi.ts";

const style =
  "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a}" +
  "code{background:#f2f2f2;padding:.1em .3em}h2{margin-top:2.5rem}article{border-top:1px solid #ddd;padding:.8rem 0}p{margin:.3rem 0}";

// The page needs this one style sheet and nothing else, from nowhere else.
const pageHeaders = {
  "content-security-policy": `default-src 'none'; style-src 'sha256-${createHash("sha256").update(style).digest("base64")}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
  "referrer-policy": "no-referrer",
  "x-frame-options": "DENY",
};

type Described = { readonly name: string; readonly description?: string };
type OperationText = {
  readonly tags?: readonly string[];
  readonly summary?: string;
  readonly description?: string;
  readonly parameters?: readonly (Described & { readonly in: string })[];
  readonly requestBody?: { readonly content?: Readonly<Record<string, { readonly schema?: { readonly $ref?: string } }>> };
  readonly responses?: Readonly<Record<string, unknown>>;
};
type Listed = { readonly path: string; readonly method: string; readonly operation: OperationText };

/** The API on one page, made from its OpenAPI document; loads nothing. */
export function addDocsPage(app: OpenAPIHono<Env>, version: string): void {
  let page: ReturnType<typeof render> | null = null;
  app.get("/docs", async (c) => c.html(await (page ??= render(app, version)), 200, pageHeaders));
}

function render(app: OpenAPIHono<Env>, version: string) {
  const document = openApiDocument(app, version);
  const listed: readonly Listed[] = Object.entries(document.paths ?? {}).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation: operation as OperationText })),
  );
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width" />
        <title>Ringback API</title>
        ${raw(`<style>${style}</style>`)}
      </head>
      <body>
        <h1>Ringback API ${version}</h1>
        <p>${document.info.description ?? ""} The whole description is at <a href="/openapi.json">/openapi.json</a>.</p>
        ${(document.tags ?? []).map((tag) => renderTag(tag, listed))}
      </body>
    </html>`;
}

function renderTag(tag: Described, listed: readonly Listed[]) {
  const ofTag = listed.filter(({ operation }) => operation.tags?.includes(tag.name) === true);
  return html`<section>
    <h2>${tag.name}</h2>
    <p>${tag.description ?? ""}</p>
    ${ofTag.map(renderOperation)}
  </section>`;
}

function renderOperation({ path, method, operation }: Listed) {
  const body = operation.requestBody?.content?.["application/json"]?.schema?.$ref?.split("/").at(-1);
  const parameters = (operation.parameters ?? []).map(({ name }) => name);
  return html`<article>
    <strong><code>${method} ${path}</code></strong> ${operation.summary ?? ""}
    <p>${operation.description ?? ""}</p>
    ${parameters.length === 0 ? "" : html`<p>Parameters: ${parameters.join(", ")}.</p>`}
    ${body === undefined ? "" : html`<p>Body: ${body}.</p>`}
    <p>Answers: ${Object.keys(operation.responses ?? {}).join(", ")}.</p>
  </article>`;
}

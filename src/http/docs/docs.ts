import { createHash } from "node:crypto";
import { z } from "@hono/zod-openapi";
import type { OpenAPIHono } from "@hono/zod-openapi";
import { html, raw } from "hono/html";
import type { Env } from "../operations/dependencies.ts";
import { openApiDocument } from "../operations/openapi.ts";
import { addOperation, defineOperation } from "../operations/operation.ts";

const style =
  "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a}" +
  "code,pre{background:#f2f2f2;font-size:.9em}code{padding:.1em .3em}pre{padding:.6em;overflow-x:auto}h2{margin-top:2.5rem}" +
  "article{border-top:1px solid #ddd;padding:.8rem 0}p{margin:.3rem 0}summary{cursor:pointer}dt{margin-top:.3rem}dd{margin-left:1.5rem}";

// The policy admits the style sheet inside the page and nothing else.
const pageHeaders = {
  "content-security-policy": `default-src 'none'; style-src 'sha256-${createHash("sha256").update(style).digest("base64")}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
  "cross-origin-opener-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-frame-options": "DENY",
};

type Described = { readonly name: string; readonly description?: string };
type Parameter = Described & { readonly in: string; readonly required?: boolean };
type Media = {
  readonly schema?: { readonly $ref?: string };
  readonly example?: unknown;
  readonly examples?: Readonly<Record<string, unknown>>;
};
type Answer = { readonly description?: string; readonly content?: Readonly<Record<string, Media>> };
type OperationText = {
  readonly tags?: readonly string[];
  readonly summary?: string;
  readonly description?: string;
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content?: Readonly<Record<string, Media>> };
  readonly responses?: Readonly<Record<string, Answer>>;
};
type Listed = { readonly path: string; readonly method: string; readonly operation: OperationText };
type Schemas = Readonly<Record<string, { readonly example?: unknown }>>;

const getDocs = defineOperation({
  method: "get",
  path: "/docs",
  operationId: "getDocs",
  tag: "Operation",
  summary: "This document as a page",
  description: "Every operation with its parameters and an example of each answer.",
  answers: {
    200: { description: "HTML that loads nothing.", schema: z.string(), example: "<!doctype html>…", contentType: "text/html" },
  },
  isPublic: true,
});

/** Renders the API reference from the OpenAPI document, as one page that loads no other file. */
export function addDocsPage(app: OpenAPIHono<Env>, version: string): void {
  let page: ReturnType<typeof render> | null = null;
  addOperation(app, getDocs, async (c) => c.html(await (page ??= render(app, version)), 200, pageHeaders));
}

function render(app: OpenAPIHono<Env>, version: string) {
  const document = openApiDocument(app, version);
  const schemas = (document.components?.schemas ?? {}) as Schemas;
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
        ${(document.info.description ?? "").split("\n\n").map((paragraph) => html`<p>${paragraph}</p>`)}
        <p>The whole description, with every schema, is at <a href="/openapi.json">/openapi.json</a>.</p>
        ${(document.tags ?? []).map((tag) => renderTag(tag, listed, schemas))}
      </body>
    </html>`;
}

function renderTag(tag: Described, listed: readonly Listed[], schemas: Schemas) {
  const ofTag = listed.filter(({ operation }) => operation.tags?.includes(tag.name) === true);
  return html`<section>
    <h2>${tag.name}</h2>
    <p>${tag.description ?? ""}</p>
    ${ofTag.map((item) => renderOperation(item, schemas))}
  </section>`;
}

function renderOperation({ path, method, operation }: Listed, schemas: Schemas) {
  const body = exampleOf(operation.requestBody, schemas);
  return html`<article>
    <strong><code>${method} ${path}</code></strong> ${operation.summary ?? ""}
    <p>${operation.description ?? ""}</p>
    <details>
      <summary>Parameters, bodies, answers</summary>
      <dl>${(operation.parameters ?? []).map(renderParameter)}</dl>
      ${
        body === undefined
          ? ""
          : html`<p>Body:</p>
              ${renderJson(body)}`
      }
      ${Object.entries(operation.responses ?? {}).map(([status, answer]) => renderAnswer(status, answer, schemas))}
    </details>
  </article>`;
}

function renderParameter({ name, in: place, required, description }: Parameter) {
  return html`<dt><code>${name}</code> (${place}${required === true ? ", required" : ""})</dt>
    <dd>${description ?? ""}</dd>`;
}

function renderAnswer(status: string, answer: Answer, schemas: Schemas) {
  const example = exampleOf(answer, schemas);
  return html`<p><code>${status}</code> ${answer.description ?? ""}</p>
    ${example === undefined ? "" : renderJson(example)}`;
}

function renderJson(value: unknown) {
  return html`<pre>${JSON.stringify(value, null, 2)}</pre>`;
}

/** Returns the example of an answer, else that of its schema. Problems have only a description. */
function exampleOf(part: { readonly content?: Readonly<Record<string, Media>> } | undefined, schemas: Schemas): unknown {
  const media = part?.content?.["application/json"];
  return media?.example ?? schemas[media?.schema?.$ref?.split("/").at(-1) ?? ""]?.example;
}

import { z } from "@hono/zod-openapi";
import type { OpenAPIHono } from "@hono/zod-openapi";
import { html, raw } from "hono/html";
import { marked } from "marked";
import type { Env, HttpDependencies } from "../operations/dependencies.ts";
import { openApiDocument } from "../operations/openapi.ts";
import { addOperation, defineOperation } from "../operations/operation.ts";
import { addDocsAssets } from "./assets.ts";
import { docsPage, pageHeaders } from "./page.ts";
import { buildSearchIndex } from "./search-index.ts";

const getDocs = defineOperation({
  method: "get",
  path: "/docs",
  operationId: "getDocs",
  tag: "Operation",
  summary: "This document as a page",
  description: "Every operation and webhook, with a form that sends requests to this service. Loads files of this service alone.",
  answers: {
    200: { description: "HTML.", schema: z.string(), example: "<!doctype html>…", contentType: "text/html" },
  },
  scope: null,
});

/** Adds the API reference: the OpenAPI document shown by Swagger UI, and the files that the pages under /docs load. */
export function addDocsPage(app: OpenAPIHono<Env>, { version, publicUrl }: Pick<HttpDependencies, "version" | "publicUrl">): void {
  let page: ReturnType<typeof docsPage> | null = null;
  const document = () => openApiDocument(app, version, publicUrl);
  addOperation(app, getDocs, async (c) => c.html(await (page ??= referencePage(document().info)), 200, pageHeaders));
  addDocsAssets(app, () => JSON.stringify(buildSearchIndex(document())));
}

function referencePage({ version, description = "" }: { readonly version: string; readonly description?: string }) {
  return docsPage({
    title: "API reference",
    path: "/docs",
    styles: ["swagger-ui.css"],
    scripts: ["swagger-ui-bundle.js", "reference.js"],
    content: html`<h1>API reference</h1>
      <p>Version ${version}</p>
      ${raw(marked.parse(description, { async: false }))}
      <p>
        The document behind this page is at <a href="/openapi.json">/openapi.json</a>. Without JavaScript, read
        <a href="/docs/guides/api">the routes</a>, <a href="/docs/guides/webhooks">the webhooks</a> and
        <a href="/docs/guides/errors">the errors</a> as guides.
      </p>
      <div id="reference"></div>`,
  });
}

import { html, raw } from "hono/html";
import { assetPath } from "./assets.ts";
import { groupedGuides } from "./guide-files.ts";

type Page = {
  readonly title: string;
  /** Path of the page, which the list of contents marks. */
  readonly path: string;
  readonly content: unknown;
  /** Names of assets that this page needs beside those of every page. */
  readonly styles?: readonly string[];
  readonly scripts?: readonly string[];
};

/**
 * Headers of every page under /docs. The policy admits files of this service alone: no script and no style inside the
 * page. `data:` is for the icons in the style sheet of the reference.
 */
export const pageHeaders = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "cross-origin-opener-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-frame-options": "DENY",
};

/** Renders a page under /docs: the content, with search and contents beside it. */
export function docsPage({ title, path, content, styles = [], scripts = [] }: Page) {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width" />
        <title>${title} - Ringback</title>
        <link rel="icon" href="data:," />
        ${[...styles, "docs.css"].map((name) => html`<link rel="stylesheet" href="${assetPath(name)}" />`)}
        ${["search.js", ...scripts].map(scriptTag)}
      </head>
      <body>
        <a class="skip" href="#content">Skip to the content</a>
        <div>
          <header>
            <a class="brand" href="/">Ringback</a>
            <form role="search" hidden data-index="${assetPath("search-index.json")}">
              <label for="query">Search guides and reference</label>
              <input id="query" type="search" autocomplete="off" spellcheck="false" />
            </form>
            <div role="status" id="found-count"></div>
            <ul id="found"></ul>
            <details>
              <summary>Contents</summary>
              ${contents(path)}
            </details>
          </header>
          <main id="content">${content}</main>
        </div>
      </body>
    </html>`;
}

/** The library defines a global, which a module cannot. Both kinds of scripts run after the page was parsed, in order. */
function scriptTag(name: string) {
  const kind = name.startsWith("swagger-ui") ? "defer" : 'type="module"';
  return raw(`<script ${kind} src="${assetPath(name)}"></script>`);
}

function contents(current: string) {
  return html`<nav aria-label="Contents">
    ${link("/docs", "API reference", current)} ${link("/docs/guides", "All guides", current)}
    ${groupedGuides().map(
      ({ title, guides }) =>
        html`<h2>${title}</h2>
          <ul>
            ${guides.map((guide) => html`<li>${link(`/docs/guides/${guide.name}`, guide.title, current)}</li>`)}
          </ul>`,
    )}
  </nav>`;
}

function link(path: string, text: string, current: string) {
  return path === current ? html`<a href="${path}" aria-current="page">${text}</a>` : html`<a href="${path}">${text}</a>`;
}

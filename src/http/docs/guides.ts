import { z } from "@hono/zod-openapi";
import type { OpenAPIHono } from "@hono/zod-openapi";
import { html, raw } from "hono/html";
import { Marked } from "marked";
import type { Env } from "../operations/dependencies.ts";
import { addOperation, defineOperation } from "../operations/operation.ts";
import { notFound } from "../operations/problem.ts";
import { groupedGuides, guideNames, headingIds, readGuide, sectionsOf, titleOf } from "./guide-files.ts";
import { docsPage, pageHeaders } from "./page.ts";

const answers = {
  200: { description: "HTML.", schema: z.string(), example: "<!doctype html>…", contentType: "text/html" },
};

const getGuide = defineOperation({
  method: "get",
  path: "/docs/guides/{name}",
  operationId: "getGuide",
  tag: "Operation",
  summary: "A guide as a page",
  description: "The guides of the repository, for people.",
  params: z.object({
    name: z.string().openapi({ param: { name: "name", in: "path" }, description: "Name of the guide.", example: "receivers" }),
  }),
  answers,
  problems: ["not-found"],
  scope: null,
});

const getGuides = defineOperation({
  method: "get",
  path: "/docs/guides",
  operationId: "getGuides",
  tag: "Operation",
  summary: "The guides",
  description: "A page that leads to every section of every guide.",
  answers,
  scope: null,
});

/** Adds the guides as pages. Each is read and rendered when it is first asked for. */
export function addGuidePages(app: OpenAPIHono<Env>): void {
  const pages = new Map<string, ReturnType<typeof docsPage>>();
  const kept = (path: string, make: () => ReturnType<typeof docsPage>) => {
    const page = pages.get(path) ?? make();
    pages.set(path, page);
    return page;
  };
  addOperation(app, getGuides, async (c) => c.html(await kept("/docs/guides", listOfGuides), 200, pageHeaders));
  addOperation(app, getGuide, async (c) => {
    const name = c.req.param("name") ?? "";
    if (!guideNames.includes(name)) throw notFound("guide");
    return c.html(await kept(`/docs/guides/${name}`, () => guidePage(name)), 200, pageHeaders);
  });
}

function guidePage(name: string) {
  const markdown = readGuide(name);
  return docsPage({ title: titleOf(markdown), path: `/docs/guides/${name}`, content: raw(renderGuide(markdown)) });
}

/** Lists every section of every guide, so that readers without the search find it by eye. */
function listOfGuides() {
  return docsPage({
    title: "Guides",
    path: "/docs/guides",
    content: html`<h1>Guides</h1>
      ${groupedGuides().map(
        ({ title, guides }) =>
          html`<h2>${title}</h2>
            <ul>
              ${guides.map(
                (guide) =>
                  html`<li>
                    <a href="/docs/guides/${guide.name}">${guide.title}</a>
                    <ul>
                      ${sectionsOf(readGuide(guide.name))
                        .filter(({ depth }) => depth === 2)
                        .map((section) => html`<li><a href="/docs/guides/${guide.name}#${section.id}">${section.title}</a></li>`)}
                    </ul>
                  </li>`,
              )}
            </ul>`,
      )}`,
  });
}

/**
 * Renders a guide. Headings have the ids that code hosts give them, so that links into a guide lead there on both. Links to
 * other guides lead to their pages; what else lies in the repository is shown as text, because the service does not have it.
 */
function renderGuide(markdown: string): string {
  const nextId = headingIds();
  const marked = new Marked({
    gfm: true,
    renderer: {
      heading({ tokens, depth, text }) {
        return `<h${depth} id="${nextId(text)}">${this.parser.parseInline(tokens)}</h${depth}>\n`;
      },
      link({ href, tokens }) {
        const text = this.parser.parseInline(tokens);
        const target = targetOf(href);
        return target === null ? text : `<a href="${target}">${text}</a>`;
      },
    },
  });
  // Makes parts that scroll sideways on a small screen reachable with the keyboard.
  return marked.parse(markdown, { async: false }).replaceAll(/<(?:pre|table)(?=>)/g, '$& tabindex="0"');
}

/** Returns where a link of a guide leads; `null` if the service has no such page. */
function targetOf(href: string): string | null {
  if (/^(?:https:|#)/.test(href)) return href;
  const [, name = "", anchor = ""] = /^([a-z-]+)\.md(#.*)?$/.exec(href) ?? [];
  return guideNames.includes(name) ? `/docs/guides/${name}${anchor}` : null;
}

import { readdirSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { sectionsOf, slugOf } from "../../src/http/docs/guide-files.ts";
import { createTestApi } from "./test-api.ts";

const folder = new URL("../../src/http/docs/guides/", import.meta.url);
const names = readdirSync(folder).map((file) => file.replace(/\.md$/, ""));
const { request } = createTestApi();
const textOf = async (name: string) => (await request(`/docs/guides/${name}`)).text;

describe("guides", () => {
  test("are listed at /docs/guides with their sections, and beside every page", async () => {
    const { status, text } = await request("/docs/guides");
    expect(status).toBe(200);
    for (const name of names) expect(text).toContain(`href="/docs/guides/${name}"`);
    expect(text).toContain('href="/docs/guides/receivers#when-the-signature-does-not-hold"');
    const page = await textOf("receivers");
    for (const name of names) expect(page).toContain(`href="/docs/guides/${name}"`);
  });

  test.each(names)("%s is a page that loads files of this service alone, and its links lead somewhere", async (name) => {
    const { status, headers, text } = await request(`/docs/guides/${name}`);
    expect(status).toBe(200);
    expect(headers["content-type"]).toMatch(/^text\/html/);
    expect(headers["content-security-policy"]).toContain("default-src 'none'");
    expect(text).toMatch(/<h1 id="[^"]+">/);
    expect(text).not.toMatch(/<(?:img|iframe|style)\b| style=|<script(?! type="module" src="\/docs\/assets\/)/);
    for (const [, target = ""] of text.matchAll(/ (?:href|src)="([^"]+)"/g)) {
      if (/^(?:https:\/\/|data:,$|\/docs\/assets\/|\/$|\/docs(?:\/guides)?$)/.test(target)) continue;
      const [, page = name, anchor] = /^(?:\/docs\/guides\/([a-z-]+))?(?:#(.+))?$/.exec(target) ?? [target, "no such page"];
      expect([target, names.includes(page)]).toEqual([target, true]);
      if (anchor !== undefined) expect([target, (await textOf(page)).includes(` id="${anchor}"`)]).toEqual([target, true]);
    }
  });

  test.each(["none", "..%2Foperators", "operators.md"])("%s is 404", async (name) => {
    expect((await request(`/docs/guides/${name}`)).status).toBe(404);
  });
});

test("a guide is split at its headings, and a comment in code is none", () => {
  const sections = sectionsOf("# A `b`\n\nOne.\n\n```sh\n# two\n```\n\n## C\n\nThree.\n\n## C\n");
  expect(sections.map(({ title, id, depth }) => [title, id, depth])).toEqual([
    ["A b", "a-b", 1],
    ["C", "c", 2],
    ["C", "c-1", 2],
  ]);
  expect(sections[0]?.text).toContain("# two");
});

test.each([
  ["When the signature does not hold", "when-the-signature-does-not-hold"],
  ["`410` and *after*", "410-and-after"],
  ["What it costs: CPU, memory", "what-it-costs-cpu-memory"],
])("the id of %s is %s", (heading, id) => expect(slugOf(heading)).toBe(id));

import { existsSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { Marked } from "marked";
import { expect, test } from "vitest";
import { sectionsOf } from "../../src/http/docs/guide-files.ts";
import { documents, readDocument, root } from "./documents.ts";

// Setup: every Markdown file of the repository. What this proves: each link leads to a file that exists, and each anchor to
// a heading of it, so that readers of a code host follow them.

function linksOf(markdown: string): readonly string[] {
  const links: string[] = [];
  new Marked({ walkTokens: (token) => void ((token.type === "link" || token.type === "image") && links.push(token["href"])) }).parse(
    markdown,
    {
      async: false,
    },
  );
  return links;
}

test.each(documents)("every link of %s leads somewhere", (path) => {
  const markdown = readDocument(path);
  for (const href of linksOf(markdown)) {
    if (/^(?:https?|mailto):/.test(href)) continue;
    const [file = "", anchor] = href.split("#");
    const target = file === "" ? path : normalize(join(dirname(path), file));
    expect([href, existsSync(join(root, target))]).toEqual([href, true]);
    if (anchor === undefined) continue;
    expect([href, sectionsOf(readDocument(target)).map(({ id }) => id)]).toEqual([href, expect.arrayContaining([anchor])]);
  }
});

test("there are documents with links", () => {
  expect(documents).toEqual(
    expect.arrayContaining(["README.md", ".github/CONTRIBUTING.md", "src/README.md", "src/http/docs/guides/api.md"]),
  );
  expect(linksOf(readDocument("README.md")).length).toBeGreaterThan(50);
});

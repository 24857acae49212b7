import { globSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";

// Setup: every source file and every test. What this proves: comments and texts avoid the words that .github/CONTRIBUTING.md
// rules out, because a sentence with one of them nearly always hides its subject or its verb. Migrations (`*.sql`) are not
// covered, because databases store the checksums of applied ones.

const root = new URL("..", import.meta.url).pathname;
/** Two words may be apart by the line break of a block comment and its ` * `. */
const bannedWords =
  /\b(?:whoever|whatever|anew|so[\s*/]+many|by[\s*/]+so[\s*/]+much|nobody|somebody|by[\s*/]+hand|owe[ds]?|told|tells?)\b/gi;
/** Comments, string literals and templates. The code between them is not prose. */
const proseParts = /\/\*[\s\S]*?\*\/|(?<!:)\/\/[^\n]*|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`/g;

/** Returns one `line: word` for each banned word in the comments and texts of `code`. */
function bannedIn(code: string): readonly string[] {
  return [...code.matchAll(proseParts)].flatMap(({ 0: part, index: start }) =>
    [...part.matchAll(bannedWords)].map(({ 0: word, index }) => `${code.slice(0, start + index).split("\n").length}: ${word}`),
  );
}

function sourceFiles(): readonly string[] {
  return globSync(["src/**/*.{ts,mjs,js}", "test/**/*.{ts,mjs}"], { cwd: root, exclude: ["**/node_modules/**", "**/.generated-*/**"] })
    .filter((path) => path !== "test/prose.test.ts")
    .toSorted();
}

test("comments and texts contain no banned word", () => {
  const files = sourceFiles();
  expect(files).toContain("src/main.ts");
  expect(files.flatMap((path) => bannedIn(readFileSync(root + path, "utf8")).map((found) => `${path}:${found}`))).toEqual([]);
});

test.each([
  ["a comment", "/** Whoever asks is answered. */"],
  ["a line comment", "const a = 1; // sent anew"],
  ["a text", 'const detail = "nobody may read it";'],
  ["a template", "const text = `the hook is told of ${event}`;"],
])("the search finds a banned word in %s", (_place, code) => {
  expect(bannedIn(code)).toHaveLength(1);
});

test("the search returns the line of each word", () => {
  expect(bannedIn("const a = 1;\n/*\n * Whatever is owed\n * at last.\n */")).toEqual(["3: Whatever", "3: owed"]);
});

test("the search finds words across a line break", () => {
  expect(bannedIn("/*\n * Sent by\n * hand.\n */")).toHaveLength(1);
});

test("the search skips code", () => {
  expect(bannedIn("const told = owed(whoever); select.owed_by_hand;")).toEqual([]);
});

import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readDocument, root } from "./documents.ts";

// Setup: the table of promises. What this proves: each promise names at least one test, each test that it names exists, and
// none is named twice in a line. Whether the test proves the promise is for its reader.

const rows = [...readDocument("src/http/docs/guides/conformance.md").matchAll(/^\| (?!promise|---)(.+?) \| (.+) \|$/gm)];

test("every promise names tests that exist", () => {
  expect(rows.length).toBeGreaterThan(50);
  for (const [, promise = "", tests = ""] of rows) {
    const files = [...tests.matchAll(/\[([a-z0-9/-]+)\]\(..\/..\/..\/..\/(test\/[a-z0-9/-]+\.test\.ts)\)/g)];
    expect([promise, files.length, new Set(files.map(([, name]) => name)).size]).toEqual([promise, tests.split(", ").length, files.length]);
    for (const [, name = "", path = ""] of files)
      expect([promise, path, existsSync(join(root, path))]).toEqual([promise, `test/${name}.test.ts`, true]);
  }
});

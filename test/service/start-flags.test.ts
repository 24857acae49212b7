import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

const root = new URL("../..", import.meta.url).pathname;
const read = (path: string) => readFileSync(root + path, "utf8");
const flag = "--max-semi-space-size=8";

test("every way to start the service bounds the young generation of its main thread, and the arenas of malloc", () => {
  const { scripts } = JSON.parse(read("package.json")) as { readonly scripts: Readonly<Record<string, string>> };
  expect(scripts["start"]).toMatch(new RegExp(`^MALLOC_ARENA_MAX=2 exec node ${flag} `));
  expect(/^CMD (.*)$/m.exec(read("Dockerfile"))?.[1]).toContain(`"${flag}"`);
  expect(read("Dockerfile")).toContain("MALLOC_ARENA_MAX=2");
  expect(read("src/cli/ringback.mjs").split("\n")[0]).toBe(`#!/usr/bin/env -S node ${flag}`);
  expect(read("src/cli/demo/service-process.ts")).toContain(`"${flag}"`);
});

test("the limits hold in the main thread and in threads that it starts", () => {
  // The new space has two halves and one more for what survives.
  const program = `
    const { Worker } = require("node:worker_threads");
    const report = "const { getHeapSpaceStatistics } = require('node:v8'); let kept = []; for (let n = 0; n < 3e5; n++) { kept.push({ n }); if (kept.length > 2e4) kept = []; } getHeapSpaceStatistics().find((space) => space.space_name === 'new_space').space_size";
    console.log(eval(report));
    new Worker("require('node:worker_threads').parentPort.postMessage(eval(" + JSON.stringify(report) + "))", { eval: true }).on("message", (size) => console.log(size));`;
  const { stdout, stderr } = spawnSync(process.execPath, [flag, "--import", "./src/runtime-check.mjs", "--eval", program], {
    cwd: root,
    encoding: "utf8",
  });
  expect(stderr).toBe("");
  const sizes = stdout.trim().split("\n").map(Number);
  expect(sizes).toHaveLength(2);
  const [main = Number.NaN, thread = Number.NaN] = sizes;
  expect(main).toBeLessThanOrEqual(24 * 2 ** 20);
  expect(thread).toBeLessThanOrEqual(6 * 2 ** 20);
});

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, expect, it } from "vitest";

const root = new URL("..", import.meta.url).pathname;
let folder: string;

beforeEach(async () => {
  // Inside of the project, where its modules are found.
  folder = await mkdtemp(join(root, "node_modules", ".failing-run-"));
});
afterEach(() => rm(folder, { recursive: true }));

/** A run of one test with the set-up of a suite, the main one unless another is named; its exit code and what it said. */
async function run(
  test: string,
  environment: Record<string, string>,
  setUp = "test/harness/postgres/postgres-server.ts",
): Promise<{ readonly code: unknown; readonly said: string }> {
  await writeFile(join(folder, "one.test.mjs"), `import { expect, it } from "vitest";\nit("is run", () => ${test});\n`);
  const config = `export default { test: { root: ${JSON.stringify(folder)}, include: ["one.test.mjs"], globalSetup: [${JSON.stringify(
    join(root, setUp),
  )}] } };\n`;
  await writeFile(join(folder, "vitest.config.mjs"), config);
  const { TEST_DATABASE_URL: _, ...inherited } = process.env;
  const vitest = join(root, "node_modules/vitest/vitest.mjs");
  const child = spawn(process.execPath, [vitest, "run", "--config", join(folder, "vitest.config.mjs")], {
    env: { ...inherited, ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const exit = once(child, "close");
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)]);
  return { code: (await exit)[0], said: out + err };
}

it.each([
  ["passes when its tests do", "expect(1).toBe(1)", {}, 0],
  ["fails when a test does", "expect(1).toBe(2)", {}, 1],
  ["fails without a Postgres server", "expect(1).toBe(1)", { TEST_DATABASE_URL: "postgres://127.0.0.1:1/none" }, 1],
])("a run %s", async (_, test, environment, code) => {
  expect((await run(test, environment)).code).toBe(code);
});

it("a run of the browser tests fails without a Chromium, and says what to install", async () => {
  const { code, said } = await run("expect(1).toBe(1)", { PATH: "" }, "test/browser/chromium.ts");
  expect(code).toBe(1);
  expect(said).toContain("on the PATH: apt-get install chromium");
});

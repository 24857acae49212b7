import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";

const root = new URL("..", import.meta.url).pathname;
let folder: string;

beforeEach(async () => {
  // Inside of the project, where its modules are found.
  folder = await mkdtemp(join(root, "node_modules", ".failing-run-"));
});
afterEach(() => rm(folder, { recursive: true }));

/** A run of one test with the set-up of the whole suite; its exit code. */
async function run(test: string, environment: Record<string, string>): Promise<unknown> {
  await writeFile(join(folder, "one.test.mjs"), `import { expect, it } from "vitest";\nit("is run", () => ${test});\n`);
  const config = `export default { test: { root: ${JSON.stringify(folder)}, include: ["one.test.mjs"], globalSetup: [${JSON.stringify(
    join(root, "test/support/postgres-server.ts"),
  )}] } };\n`;
  await writeFile(join(folder, "vitest.config.mjs"), config);
  const { TEST_DATABASE_URL: _, ...inherited } = process.env;
  const vitest = join(root, "node_modules/vitest/vitest.mjs");
  const child = spawn(process.execPath, [vitest, "run", "--config", join(folder, "vitest.config.mjs")], {
    env: { ...inherited, ...environment },
    stdio: "ignore",
  });
  return (await once(child, "exit"))[0];
}

it.each([
  ["passes when its tests do", "expect(1).toBe(1)", {}, 0],
  ["fails when a test does", "expect(1).toBe(2)", {}, 1],
  ["fails without a Postgres server", "expect(1).toBe(1)", { TEST_DATABASE_URL: "postgres://127.0.0.1:1/none" }, 1],
])("a run %s", async (_, test, environment, code) => {
  expect(await run(test, environment)).toBe(code);
});

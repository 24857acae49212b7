import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";

// Setup: a folder with our linter configuration and one file that breaks one rule. What this proves: the linter would
// fail on it, so the way imports go is enforced and not only written down.

const run = promisify(execFile);
const root = new URL("..", import.meta.url).pathname;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ringback-lint-"));
  await cp(join(root, ".oxlintrc.json"), join(folder, ".oxlintrc.json"));
  await symlink(join(root, "node_modules"), join(folder, "node_modules"));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

async function lint(path: string, text: string): Promise<{ failed: boolean; output: string }> {
  const file = join(folder, path);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, text);
  try {
    const { stdout } = await run(join(root, "node_modules/.bin/oxlint"), ["--deny-warnings", path], { cwd: folder });
    return { failed: false, output: stdout };
  } catch (error) {
    return { failed: true, output: (error as { stdout: string }).stdout };
  } finally {
    await rm(file);
  }
}

const using = (specifier: string) => `import { something } from "${specifier}";\nexport const used = something;\n`;

test.each([
  ["src/domain/planted.ts", using("../ports/clock.ts"), "no-restricted-imports"],
  ["src/domain/planted.ts", using("zod"), "no-restricted-imports"],
  ["src/ports/planted.ts", using("../engine/poller.ts"), "no-restricted-imports"],
  ["src/engine/planted.ts", using("../adapters/sqlite/store.ts"), "no-restricted-imports"],
  ["src/engine/planted.ts", using("zod"), "no-restricted-imports"],
  ["src/engine/planted.ts", using("../config.ts"), "no-restricted-imports"],
  ["src/adapters/sqlite/planted.ts", using("../../engine/poller.ts"), "no-restricted-imports"],
  ["src/adapters/sqlite/planted.ts", using("../../http/app.ts"), "no-restricted-imports"],
  ["src/simulator/planted.ts", using("../adapters/clock.ts"), "no-restricted-imports"],
  ["src/http/planted.ts", using("../adapters/sqlite/store.ts"), "no-restricted-imports"],
  ["src/http/planted.ts", using("../cli/listen.ts"), "no-restricted-imports"],
  ["src/engine/planted.ts", "export const used = process.env['HOME'];\n", "no-restricted-properties"],
  ["src/adapters/webhook/planted.ts", "export const used = () => fetch('https://example.com');\n", "no-restricted-globals"],
  ["src/engine/planted.ts", "export default function used() {}\n", "no-default-export"],
  ["src/engine/planted.ts", "export const used = () => console.log(1);\n", "no-console"],
])("the linter refuses %s with %j", async (path, text, rule) => {
  const { failed, output } = await lint(path, text);
  expect(output).toContain(rule);
  expect(failed).toBe(true);
});

test.each([
  ["src/domain/planted.ts", using("./call.ts")],
  ["src/ports/planted.ts", using("../domain/call.ts")],
  ["src/engine/planted.ts", using("../ports/clock.ts")],
  ["src/adapters/sqlite/planted.ts", using("../../domain/call.ts")],
  ["src/http/planted.ts", using("../engine/registrar.ts")],
])("the linter lets %s do what it may", async (path, text) => {
  expect((await lint(path, text)).failed).toBe(false);
});

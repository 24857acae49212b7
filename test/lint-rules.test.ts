import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";

// Setup: a folder with the project's linter configuration and files that break one rule. What this proves: the linter
// fails on them, so the direction of imports is enforced and not only written down.

const run = promisify(execFile);
const root = new URL("..", import.meta.url).pathname;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ringback-lint-"));
  await cp(join(root, ".oxlintrc.json"), join(folder, ".oxlintrc.json"));
  await symlink(join(root, "node_modules"), join(folder, "node_modules"));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

type Report = { readonly diagnostics: readonly { readonly code: string; readonly filename: string }[] };

/** Lints the planted files (text by path) and returns the rules they break, as `path: rule`, each once. */
async function lint(files: Readonly<Record<string, string>>): Promise<readonly string[]> {
  const paths = Object.keys(files);
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  }
  const { stdout } = await run(join(root, "node_modules/.bin/oxlint"), ["--deny-warnings", "--format=json", ...paths], {
    cwd: folder,
  }).catch((error: unknown) => error as { stdout: string });
  for (const path of paths) await rm(join(folder, path));
  const { diagnostics } = JSON.parse(stdout) as Report;
  return [...new Set(diagnostics.map(({ code, filename }) => `${filename}: ${code}`))].toSorted();
}

const using = (specifier: string) => `import { something } from "${specifier}";\nexport const used = something;\n`;
const usingType = (specifier: string) => `import type { Something } from "${specifier}";\nexport type Used = Something;\n`;
const imports = "eslint(no-restricted-imports)";

const layers = ["domain", "ports", "engine", "adapters", "http", "cli", "simulator", "service", "client", "integrations"];
/** What each layer may import, itself apart. `client` and `integrations` are packages of their own. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  domain: [],
  ports: ["domain"],
  engine: ["domain", "ports"],
  adapters: ["domain", "ports"],
  http: ["domain", "ports", "engine"],
  simulator: ["domain", "ports"],
  service: ["domain", "ports", "engine", "adapters", "http", "simulator"],
  cli: ["domain", "ports", "engine", "adapters", "http", "simulator", "service", "client"],
  client: [],
  integrations: [],
};

const wings = ["runtime", "sources", "polling", "requests", "delivery", "registration", "instances", "administration"];
/** `delivery` and `registration` stand side by side; every other wing may import all wings before it. */
const wingMayImport = (wing: string, other: string) =>
  wings.indexOf(other) < wings.indexOf(wing) && !(wing === "registration" && other === "delivery");

test("the linter lets each layer import the layers before it and no other", async () => {
  const planted = layers.flatMap((layer) =>
    layers.filter((other) => other !== layer).map((other) => ({ path: `src/${layer}/imports-${other}.ts`, layer, other })),
  );
  const refused = await lint(Object.fromEntries(planted.map(({ path, other }) => [path, usingType(`../${other}/planted.ts`)])));
  const expected = planted.filter(({ layer, other }) => mayImport[layer]?.includes(other) !== true);
  expect(refused).toEqual(expected.map(({ path }) => `${path}: ${imports}`).toSorted());
});

test("the linter lets each wing of the engine import the wings before it and no other", async () => {
  const planted = wings.flatMap((wing) =>
    wings.filter((other) => other !== wing).map((other) => ({ path: `src/engine/${wing}/imports-${other}.ts`, wing, other })),
  );
  const refused = await lint(Object.fromEntries(planted.map(({ path, other }) => [path, usingType(`../${other}/planted.ts`)])));
  const expected = planted.filter(({ wing, other }) => !wingMayImport(wing, other));
  expect(refused).toEqual(expected.map(({ path }) => `${path}: ${imports}`).toSorted());
});

test("the linter refuses other layers and edge libraries in every wing of the engine", async () => {
  const specifiers = ["../../adapters/planted.ts", "../../http/planted.ts", "../../service/planted.ts", "../../main.ts", "zod", "undici"];
  const planted = wings.flatMap((wing) =>
    specifiers.map((specifier, index) => [`src/engine/${wing}/planted-${index}.ts`, using(specifier)] as const),
  );
  expect(await lint(Object.fromEntries(planted))).toEqual(planted.map(([path]) => `${path}: ${imports}`).toSorted());
});

test.each([
  ["src/domain/planted.ts", using("zod"), imports],
  ["src/domain/calls/planted.ts", usingType("../../ports/clock.ts"), imports],
  ["src/ports/stores/planted.ts", usingType("../../engine/polling/poller.ts"), imports],
  ["src/adapters/sqlite/calls/planted.ts", using("../../../engine/polling/poller.ts"), imports],
  ["src/http/routes/planted.ts", using("../../adapters/sqlite/store.ts"), imports],
  ["src/http/routes/planted.ts", "export const used = () => import('../../adapters/sqlite/store.ts');\n", imports],
  ["src/engine/polling/planted.ts", "export const used = process.env['HOME'];\n", "eslint(no-restricted-properties)"],
  ["src/adapters/webhook/planted.ts", "export const used = () => fetch('https://example.com');\n", "eslint(no-restricted-globals)"],
  ["src/engine/polling/planted.ts", "export default function used() {}\n", "import(no-default-export)"],
  ["src/engine/polling/planted.ts", "export const used = () => console.log(1);\n", "eslint(no-console)"],
])("the linter refuses %s with %j", async (path, text, rule) => {
  expect(await lint({ [path]: text })).toEqual([`${path}: ${rule}`]);
});

test("the linter refuses a circle of modules", async () => {
  const files = { "src/domain/one.ts": using("./other.ts"), "src/domain/other.ts": using("./one.ts") };
  expect(await lint(files)).toEqual(["src/domain/one.ts: import(no-cycle)", "src/domain/other.ts: import(no-cycle)"]);
});

test("the linter refuses a circle that only types tie", async () => {
  const files = {
    "src/engine/polling/one.ts": usingType("./other.ts"),
    "src/engine/polling/other.ts": usingType("./third.ts"),
    "src/engine/polling/third.ts": usingType("./one.ts"),
  };
  expect(await lint(files)).toEqual(Object.keys(files).map((path) => `${path}: import(no-cycle)`));
});

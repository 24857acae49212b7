import { expect, test } from "vitest";
import type { Terminal } from "../../src/cli/command.ts";
import { runCommandLine } from "../../src/cli/run-command-line.ts";
import { openApiDocument } from "../../src/http/operations/openapi.ts";
import { problemCatalogue } from "../../src/http/schemas/problem-catalogue.ts";
import { readConfig } from "../../src/service/config.ts";
import { createTestApi } from "../http/test-api.ts";
import { readDocument } from "./documents.ts";

// Setup: the tables of the guides, and what the code has of the same kind. What this proves: each table is complete, so that
// a reader who does not find a route, a problem, a variable, a command or a metric there may conclude that there is none.

const guide = (name: string) => readDocument(`src/http/docs/guides/${name}.md`);
/** Returns those of `names` that `text` does not contain. */
const missing = (text: string, names: Iterable<string>) => [...names].filter((name) => !text.includes(name));

test("every route is in the guide of the API", () => {
  const documented = new Set([...guide("api").matchAll(/`([A-Z]+ \/[^`?]*)/g)].map(([, route]) => route));
  const { paths = {} } = openApiDocument(createTestApi().app, "0.1.0");
  const routes = Object.entries(paths).flatMap(([path, item]) =>
    ["get", "post", "put", "patch", "delete"].filter((method) => method in item).map((method) => `${method.toUpperCase()} ${path}`),
  );
  expect(routes.filter((route) => !documented.has(route))).toEqual([]);
  expect(routes.length).toBeGreaterThan(40);
});

test("every problem is in the guide of the errors, with its status", () => {
  const rows = [...guide("errors").matchAll(/^\| (\d{3}) \| ([^|]+) \|/gm)];
  const documented = rows.flatMap(([, status, slugs = ""]) => [...slugs.matchAll(/`([a-z-]+)`/g)].map(([, slug]) => `${status} ${slug}`));
  expect(documented.toSorted()).toEqual(
    Object.entries(problemCatalogue)
      .map(([slug, { status }]) => `${status} ${slug}`)
      .toSorted(),
  );
});

test("every variable is in the guide of the configuration", () => {
  const names = new Set<string>();
  const environment = new Proxy<Record<string, string>>({}, { get: (_, name) => void names.add(String(name)) });
  readConfig(environment);
  expect(
    missing(
      guide("configuration"),
      [...names].map((name) => `\`${name}\``),
    ),
  ).toEqual([]);
  expect(names.size).toBeGreaterThan(45);
});

test("every command is in the guide of the command line", async () => {
  let help = "";
  await runCommandLine(["--help"], { out: (line: string) => void (help += `${line}\n`) } as Partial<Terminal> as Terminal);
  const names = [...help.matchAll(/^ {2}([a-z]+(?: [a-z]+)?) {2}/gm)].map(([, name]) => `\`${name}`);
  expect(missing(guide("command-line"), names)).toEqual([]);
  expect(names.length).toBeGreaterThan(20);
});

test("every metric is in the guide of the monitoring", () => {
  const source = readDocument("src/adapters/telemetry/metrics.ts");
  const names = [...source.matchAll(/"(ringback_[a-z_]+)"/g)].map(([, name = ""]) => name);
  expect(missing(guide("monitoring"), names)).toEqual([]);
  expect(names.length).toBeGreaterThan(25);
});

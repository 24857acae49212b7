import { execFile, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { describe, expect, onTestFinished, test } from "vitest";
import { freePort } from "../../src/cli/demo/service-process.ts";
import { scrape } from "../harness/service/metrics-scrape.ts";
import { startService } from "../harness/service/service.ts";

const run = promisify(execFile);
const root = new URL("../..", import.meta.url).pathname;
const folder = join(root, "src/operations");
const read = (name: string) => readFile(join(folder, name), "utf8");

/** Whether a tool is installed. A tool that is not there is named on standard error, because its tests do not run. */
function has(tool: string, args: readonly string[], remedy: string): boolean {
  const isThere = spawnSync(tool, args).status === 0;
  if (!isThere) process.stderr.write(`NO ${tool} (${remedy}): ITS TESTS OF THE FILES FOR OPERATORS DO NOT RUN\n`);
  return isThere;
}

const hasSystemd = has("systemd-analyze", ["--version"], "apt-get install systemd");
const hasCompose = has("docker-compose", ["--version"], "apt-get install docker-compose");
const hasPromtool = has("promtool", ["--version"], "apt-get install prometheus");
const hasSchemas = existsSync(join(root, "test/operations/node_modules/kubernetes-models"));
if (!hasSchemas) process.stderr.write("NO kubernetes-models (cd test/operations && npm ci): THE KUBERNETES EXAMPLE IS NOT CHECKED\n");

async function temporaryFile(name: string, text: string): Promise<string> {
  const place = await mkdtemp(join(tmpdir(), "ringback-operations-"));
  onTestFinished(() => rm(place, { recursive: true, force: true }));
  const path = join(place, name);
  await writeFile(path, text);
  return path;
}

const secrets = { POSTGRES_PASSWORD: "p", RINGBACK_ENCRYPTION_KEY: "e", RINGBACK_API_KEY: "k" };

type Board = {
  readonly panels: readonly {
    readonly id: number;
    readonly title: string;
    readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
    readonly targets: readonly { readonly expr: string }[];
  }[];
};

const readBoard = async () => JSON.parse(await read("board.json")) as Board;

describe("the board", () => {
  test("has panels that do not overlap", async () => {
    const { panels } = await readBoard();
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    const places = panels.map(({ gridPos: { x, y } }) => `${x} ${y}`);
    expect(new Set(places).size).toBe(panels.length);
    for (const { gridPos } of panels) expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
  });

  test("names only metrics that the service shows", async () => {
    const service = await startService({ environment: { METRICS_PORT: String(await freePort()) } });
    const shown = new Set((await scrape(service.service.metricsPort ?? 0)).map(({ name }) => name.replace(/_(?:bucket|count|sum)$/, "")));
    const used = (await readBoard()).panels.flatMap(({ targets }) =>
      targets.flatMap(({ expr }) => expr.match(/(?:ringback|process)_\w+/g) ?? []),
    );
    // A service without a source and without a request has none of these.
    const later = new Set([
      "ringback_poll_interval_seconds",
      "ringback_source_state",
      "ringback_clock_skew_seconds",
      "ringback_http_request_seconds",
    ]);
    expect(used.map((name) => name.replace(/_bucket$/, "")).filter((name) => !shown.has(name) && !later.has(name))).toEqual([]);
    expect(used.length).toBeGreaterThan(20);
  });

  test.runIf(hasPromtool)("has expressions that Prometheus reads", async () => {
    const { panels } = await readBoard();
    const rules = panels.flatMap(({ targets }) =>
      targets.map(({ expr }) => ({ record: "board:panel", expr: expr.replaceAll("$__rate_interval", "5m") })),
    );
    // JSON is YAML.
    const file = await temporaryFile(
      "rules.yml",
      JSON.stringify({ groups: rules.map((rule, n) => ({ name: `panel-${n}`, rules: [rule] })) }),
    );
    expect((await run("promtool", ["check", "rules", "--lint=none", file])).stdout).toContain("SUCCESS");
  });
});

describe("the unit", () => {
  test.runIf(hasSystemd)("is one that systemd verifies", async () => {
    const unit = (await read("ringback.service")).replace("ExecStart=/usr/bin/node", `ExecStart=${process.execPath}`);
    const { stdout, stderr } = await run("systemd-analyze", ["verify", await temporaryFile("ringback.service", unit)]);
    expect(stdout + stderr).toBe("");
  });

  test("starts the service as npm does, and has more time to stop than its grace", async () => {
    const { scripts } = JSON.parse(await readFile(join(root, "package.json"), "utf8")) as { readonly scripts: { readonly start: string } };
    const unit = await read("ringback.service");
    expect(/^ExecStart=\/usr\/bin\/(.*)$/m.exec(unit)?.[1]).toBe(scripts.start.replace(/^.*exec /, ""));
    expect(unit).toContain("MALLOC_ARENA_MAX=2");
    expect(Number(/^TimeoutStopSec=(\d+)$/m.exec(unit)?.[1])).toBeGreaterThan(20);
    expect(unit).toContain("RestartPreventExitStatus=78");
  });
});

const config = (environment: Readonly<Record<string, string>>) =>
  run("docker-compose", ["-f", join(folder, "compose.yaml"), "config"], { env: { PATH: process.env["PATH"], ...environment } });

describe.runIf(hasCompose)("the compose file", () => {
  test("is valid, and its grace is longer than that of the service", async () => {
    const { stdout } = await config(secrets);
    expect(stdout).toMatch(/stop_grace_period: 30s/);
    expect(stdout).toMatch(/SHUTDOWN_GRACE_MS: '20000'/);
    expect(stdout).toMatch(/condition: service_healthy/);
  });

  test.each(Object.keys(secrets))("names %s if it is missing", async (name) => {
    await expect(config({ ...secrets, [name]: "" })).rejects.toThrow(`set ${name}`);
  });
});

type Manifest = { readonly apiVersion: string; readonly kind: string; readonly spec?: { readonly template?: { readonly spec: PodSpec } } };
type PodSpec = {
  readonly terminationGracePeriodSeconds: number;
  readonly containers: readonly { readonly env: readonly { readonly name: string; readonly value: string }[] }[];
};

const modules = join(root, "test/operations/node_modules");
/** Imports a file of a package whose own exports leave it out. */
const importFile = (path: string) => import(pathToFileURL(join(modules, path)).href) as Promise<Readonly<Record<string, unknown>>>;

async function manifests(): Promise<readonly Manifest[]> {
  const { parseAllDocuments } = (await importFile("yaml/dist/index.js")) as {
    readonly parseAllDocuments: (text: string) => readonly { toJS(): Manifest }[];
  };
  return parseAllDocuments(await read("kubernetes.yaml")).map((document) => document.toJS());
}

/** Checks a manifest against the schema of its kind; throws with what is wrong. */
async function check(manifest: Manifest): Promise<void> {
  const module = await importFile(`kubernetes-models/${manifest.apiVersion}/${manifest.kind}.js`);
  const Model = module[manifest.kind] as new (manifest: Manifest) => { validate(): void };
  new Model(manifest).validate();
}

describe.runIf(hasSchemas)("the Kubernetes example", () => {
  test("fits the schema of every kind in it", async () => {
    const found = await manifests();
    expect(found.map(({ kind }) => kind)).toEqual(["Secret", "Deployment", "Service", "PodDisruptionBudget"]);
    for (const manifest of found) await check(manifest);
    const [, deployment] = found as [Manifest, Manifest];
    await expect(check({ ...deployment, spec: { ...deployment.spec, replicas: "two" } } as Manifest)).rejects.toThrow();
  });

  test("gives a stop longer than delay and grace together", async () => {
    const spec = (await manifests()).find(({ kind }) => kind === "Deployment")?.spec?.template?.spec;
    const value = (name: string) => Number(spec?.containers[0]?.env.find((variable) => variable.name === name)?.value);
    expect((spec?.terminationGracePeriodSeconds ?? 0) * 1000).toBeGreaterThan(value("SHUTDOWN_DELAY_MS") + value("SHUTDOWN_GRACE_MS"));
  });
});

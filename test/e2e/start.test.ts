import { execFile } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { oneLine, runToEnd } from "../harness/service/ended-service.ts";
import { openService, reasonOfRefusal } from "../harness/service/environment.ts";

const run = promisify(execFile);
const root = new URL("../..", import.meta.url).pathname;
const key = "start-key-start-key-start-key";
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ringback-start-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test("a wrong variable is one line on stderr and exit code 78", async () => {
  const { code, stderr } = await runToEnd({ PORT: "many", RINGBACK_API_KEY: key });
  expect({ code, stderr }).toEqual({ code: 78, stderr: "ringback: PORT: must be a whole number from 0 to 65535\n" });
});

test("neither a key nor an account is refused, naming both ways out", async () => {
  const reason = await reasonOfRefusal({ DATABASE_URL: "sqlite::memory:", RINGBACK_API_KEY: "" });
  expect(reason).toContain("RINGBACK_API_KEY");
  expect(reason).toContain("account create");
});

test("a corrupt database is one line and exit code 78", async () => {
  const path = join(folder, "corrupt.db");
  await writeFile(path, "this is not a database, however one looks at it".repeat(100));
  const { code, stderr } = await runToEnd({ DATABASE_URL: `sqlite:${path}`, RINGBACK_API_KEY: key });
  expect(stderr).toMatch(oneLine);
  expect(stderr).toMatch(/^ringback: DATABASE_URL: /);
  expect(code).toBe(78);
});

test("a database that is a folder is refused in one line", async () => {
  const path = join(folder, "folder.db");
  await mkdir(path);
  expect(await reasonOfRefusal({ DATABASE_URL: `sqlite:${path}` })).toMatch(/^DATABASE_URL: /);
});

test.each([
  ["PORT", "PORT, HOST"],
  ["METRICS_PORT", "METRICS_PORT, METRICS_HOST"],
])("a %s that another server listens on is refused in one line that names it", async (name, named) => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const reason = await reasonOfRefusal({ [name]: String(port) });
  server.close();
  expect(reason).toBe(`${named}: cannot listen on 127.0.0.1:${port}: EADDRINUSE`);
});

test("a wrong encryption key for the database is refused in one line, naming the key's id", async () => {
  const path = join(folder, "keyed", "ringback.db");
  const environment = { DATABASE_URL: `sqlite:${path}`, RINGBACK_API_KEY: key };
  await (await openService(environment)).stop();
  expect((await stat(join(folder, "keyed", "encryption.key"))).mode & 0o777).toBe(0o600);
  const other = Buffer.alloc(32, 7).toString("base64");
  const reason = await reasonOfRefusal({ ...environment, RINGBACK_ENCRYPTION_KEY: other });
  expect(reason).toMatch(/key [0-9a-f]{16}/);
  expect(reason).not.toContain(other);
});

test("SIGTERM ends it with exit code 0, a second one changes nothing", async () => {
  const { code, stderr } = await runToEnd(
    { DATABASE_URL: "sqlite::memory:", RINGBACK_API_KEY: key },
    {
      onOutput: (text, stop) => {
        if (!text.includes("service.started") || text.includes("service.stopped")) return;
        stop("SIGTERM");
        stop("SIGTERM");
      },
    },
  );
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
});

test("a second server on the same database file is refused", async () => {
  const environment = { DATABASE_URL: `sqlite:${join(folder, "shared", "ringback.db")}`, RINGBACK_API_KEY: key };
  let second: Promise<string> | null = null;
  const first = await runToEnd(environment, {
    onOutput: (text, stop) => {
      if (!text.includes("service.started")) return;
      second ??= reasonOfRefusal(environment).finally(() => stop("SIGTERM"));
    },
  });
  expect(first.code).toBe(0);
  expect(await (second as Promise<string> | null)).toMatch(/another server/);
});

test("an older Node refuses in one line and exit code 78", async () => {
  const script = join(folder, "older.mjs");
  const check = new URL("../../src/runtime-check.mjs", import.meta.url);
  await writeFile(
    script,
    `Object.defineProperty(process.versions, "node", { value: "20.20.2" });\nawait import(${JSON.stringify(check.href)});\n`,
  );
  await chmod(script, 0o600);
  const failed = await run(process.execPath, [script]).catch((error: unknown) => error as { code: number; stderr: string });
  expect(failed).toMatchObject({
    code: 78,
    stderr: expect.stringMatching(/^ringback needs Node 24 or newer, this is 20\.20\.2[^\n]*\n$/) as string,
  });
});

test("every file of src loads under plain node, without a transform", async () => {
  const files = (await readdir(join(root, "src"), { recursive: true })).filter((file) => file.endsWith(".ts"));
  // What runs when it is loaded: entry points.
  const entries = new Set(["main.ts", "cli/ringback.ts", "cli/demo.ts"]);
  const imports = files
    // Packages of their own, with modules that the service does not have.
    .filter((file) => !entries.has(file) && !/^(?:client|integrations)\//.test(file))
    .map((file) => `await import(${JSON.stringify(new URL(`../../src/${file}`, import.meta.url).href)});`);
  expect(imports.length).toBeGreaterThan(100);
  const script = join(folder, "load-all.mjs");
  await writeFile(script, `${imports.join("\n")}\nprocess.exit(0);\n`);
  const { stderr } = await run(process.execPath, [script], { cwd: root });
  expect(stderr).toBe("");
});

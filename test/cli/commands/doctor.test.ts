import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { startNameServer } from "../../harness/receivers/name-server.ts";
import { apiKey, encryptionKey } from "../../harness/service/environment.ts";
import { runCommand, startService } from "../../harness/service/service.ts";
import { simulatedUpstream } from "../../harness/upstream/simulated-upstream.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ringback-doctor-"));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

type Finding = { readonly check: string; readonly ok: boolean; readonly detail: string; readonly remedy?: string };
type Environment = Readonly<Record<string, string>>;

/** An environment in which everything is well. */
async function wellEnvironment(): Promise<Environment> {
  const [upstream, names] = await Promise.all([simulatedUpstream({ authToken: "token" }), startNameServer(() => ["192.0.2.1"])]);
  return {
    DATABASE_URL: `sqlite:${join(folder, "ringback.db")}`,
    RINGBACK_API_KEY: apiKey,
    POLYAI_BASE_URL: upstream.url,
    POLYAI_AUTH_TOKEN: "token",
    DNS_SERVERS: names.address,
    HOST: "127.0.0.1",
    PORT: "0",
    METRICS_PORT: "0",
  };
}

/** Runs the command, and returns what is bad by its check. Every bad finding has a remedy, and the exit code says whether there is one. */
async function badIn(environment: Environment, ...args: readonly string[]): Promise<Readonly<Record<string, string>>> {
  const { code, out, error } = await runCommand(["doctor", "--json", ...args], environment);
  const findings = JSON.parse(out) as readonly Finding[];
  const bad = findings.filter(({ ok }) => !ok);
  expect(error).toBe("");
  expect(code).toBe(bad.length === 0 ? 0 : 1);
  for (const { remedy } of bad) expect(remedy).toMatch(/\w/);
  expect(out).not.toContain("very-secret");
  return Object.fromEntries(bad.map(({ check, detail }) => [check, detail]));
}

test("everything that is well has a line that begins with ok", async () => {
  const environment = await wellEnvironment();
  const { code, out } = await runCommand(["doctor"], environment);
  const lines = out.trim().split("\n");
  expect(lines.map((line) => line.slice(0, line.indexOf(":")))).toEqual([
    "ok   configuration",
    "ok   database",
    "ok   encryption key",
    "ok   account",
    "ok   source default",
    "ok   clock",
    "ok   port 0",
    "ok   dns",
    "ok   webhook",
  ]);
  expect(code).toBe(0);
  const again = await runCommand(["doctor", "--to", "http://127.0.0.1/hook"], environment);
  expect(again.code).toBe(1);
  expect(again.out.trim().split("\n").at(-1)).toMatch(/^bad {2}callback: 127\.0\.0\.1: .*\(remedy: .*CALLBACK_ALLOW/);
});

test("without any configuration there is no account; a service with the sandbox alone is well", async () => {
  const { DNS_SERVERS = "" } = await wellEnvironment();
  const bad = await badIn({ DATABASE_URL: `sqlite:${join(folder, "ringback.db")}`, PORT: "0", METRICS_PORT: "0", DNS_SERVERS });
  expect(bad).toEqual({ account: "there is none" });
  const { out } = await runCommand(["doctor"], {
    DATABASE_URL: `sqlite:${join(folder, "ringback.db")}`,
    PORT: "0",
    METRICS_PORT: "0",
    DNS_SERVERS,
    RINGBACK_API_KEY: apiKey,
  });
  expect(out).toMatch(/^ok {3}source: sandbox alone: no upstream is configured \(POLYAI_BASE_URL/m);
  expect(out).not.toMatch(/^bad/m);
});

test("each fault of a variable is named, beside what can be checked all the same", async () => {
  const { code, out } = await runCommand(["doctor"], { DATABASE_URL: `sqlite:${join(folder, "a.db")}`, PORT: "x", RETRY_SCHEDULE: "soon" });
  expect(code).toBe(1);
  expect(out).toMatch(/^bad {2}configuration: PORT: .*\nbad {2}configuration: RETRY_SCHEDULE: .*\nok {3}database/);
});

test.each<[name: string, over: Environment | ((folder: string) => Environment), check: string, detail: RegExp]>([
  ["a wrong token", { POLYAI_AUTH_TOKEN: "very-secret" }, "source default", /refuses the credential \(401\)/],
  ["an upstream that is away", { POLYAI_BASE_URL: "http://127.0.0.1:9" }, "source default", /^connect: /],
  [
    "a folder that is a file",
    (path) => ({ DATABASE_URL: `sqlite:${join(path, "file", "a.db")}` }),
    "database",
    /file cannot be written to \(ENOTDIR/,
  ],
  ["a file that is no database", (path) => ({ DATABASE_URL: `sqlite:${join(path, "file")}` }), "database", /./],
  ["an encryption key that is none", { RINGBACK_ENCRYPTION_KEY: "very-secret" }, "configuration", /^RINGBACK_ENCRYPTION_KEY: /],
  [
    "a Postgres that is away",
    { DATABASE_URL: "postgres://u:very-secret@127.0.0.1:9/x", RINGBACK_ENCRYPTION_KEY: encryptionKey },
    "database",
    /cannot be reached: connect ECONNREFUSED/,
  ],
])("%s is bad", async (_name, over, check, detail) => {
  await writeFile(join(folder, "file"), "not a database, and long enough to be read as one ".repeat(100));
  const environment = { ...(await wellEnvironment()), ...(typeof over === "function" ? over(folder) : over) };
  expect(await badIn(environment)).toEqual({ [check]: expect.stringMatching(detail) as string });
});

test("an upstream that answers HTML, a name server that is silent, and a port in use are bad", async () => {
  const server = createServer((_, response) => response.writeHead(200, { "content-type": "text/html" }).end("<html></html>"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const silent = await startNameServer(() => "servfail");
  const environment = {
    ...(await wellEnvironment()),
    POLYAI_BASE_URL: `http://127.0.0.1:${port}`,
    PORT: String(port),
    DNS_SERVERS: silent.address,
  };
  expect(await badIn(environment)).toEqual({
    "source default": expect.stringMatching(/JSON/) as string,
    [`port ${port}`]: "another program has it on 127.0.0.1",
    dns: expect.stringMatching(/did not answer/) as string,
  });
});

test("beside a running service its ports are ours, and another encryption key is bad", async () => {
  const environment = await wellEnvironment();
  const { DATABASE_URL: url = "" } = environment;
  const service = await startService({ database: { url }, environment: { ...environment, RINGBACK_ENCRYPTION_KEY: encryptionKey } });
  const beside = { ...environment, PORT: new URL(service.url).port, RINGBACK_ENCRYPTION_KEY: encryptionKey };
  expect(await badIn(beside)).toEqual({});
  const otherKey = Buffer.alloc(32, 8).toString("base64");
  expect(await badIn({ ...beside, RINGBACK_ENCRYPTION_KEY: otherKey })).toEqual({
    "encryption key": expect.stringMatching(/does not fit the database/) as string,
  });
});

import { spawn } from "node:child_process";
import type { ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { Webhook } from "standardwebhooks";
import { request } from "undici";
import { expect, onTestFinished, test } from "vitest";
import { runCommandLine } from "../../src/cli/run-command-line.ts";
import { runCommand, temporaryFolder } from "../harness/service/service.ts";
import { compileCache } from "../harness/run/compile-cache.ts";
import { generateSecret } from "../../src/domain/webhooks/signature.ts";

const root = new URL("../..", import.meta.url);
type Child = ChildProcessByStdio<Writable, Readable, Readable>;

function start(args: readonly string[], environment: Readonly<Record<string, string>> = {}): Child {
  const child = spawn(process.execPath, ["--import", "./src/runtime-check.mjs", "src/cli/ringback.ts", ...args], {
    cwd: root,
    env: { ...compileCache, ...environment },
    stdio: ["pipe", "pipe", "pipe"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  return child;
}

async function run(args: readonly string[], options: { input?: string; environment?: Record<string, string> } = {}) {
  const child = start(args, options.environment);
  let [out, error] = ["", ""];
  child.stdout.on("data", (chunk) => (out += String(chunk)));
  child.stderr.on("data", (chunk) => (error += String(chunk)));
  child.stdin.end(options.input ?? "");
  const [code] = (await once(child, "close")) as [number | null];
  return { code, out, error };
}

/** A command that stays: its output line by line. */
function lines(child: Child): AsyncIterator<string> {
  return createInterface({ input: child.stdout })[Symbol.asyncIterator]();
}

/** Without a process: what does not depend on one. */
async function runHere(...args: readonly string[]) {
  const [out, error]: [string[], string[]] = [[], []];
  const terminal = { out: (line: string) => out.push(line), error: (line: string) => error.push(line), signal: AbortSignal.abort() };
  return { code: await runCommandLine(args, terminal), out: out.join("\n"), error: error.join("\n") };
}

test("help names the commands there are, and each has its own", async () => {
  const { code, out } = await runHere("--help");
  expect(code).toBe(0);
  const names = [...out.matchAll(/^ {2}(\S+(?: \S+)*) {2,}/gm)].map((match) => match[1] ?? "");
  expect(names).toEqual([
    "serve",
    "migrate",
    "account list",
    "account create",
    "account set",
    "account disable",
    "account enable",
    "account remove",
    "key create",
    "key list",
    "key revoke",
    "source set",
    "source list",
    "source check",
    "source remove",
    "watch",
    "listen",
    "verify",
    "simulate",
    "reencrypt",
    "backup",
    "openapi",
    "doctor",
    "mcp",
    "completion",
  ]);
  for (const name of names)
    for (const help of ["--help", "-h"])
      expect(await runHere(...name.split(" "), help)).toMatchObject({ code: 0, out: expect.stringContaining(`ringback ${name}: `) });
});

test("the first word of several commands says which there are", async () => {
  const { code, out } = await runHere("key", "--help");
  expect(code).toBe(0);
  for (const name of ["key create", "key list", "key revoke"]) expect(out).toContain(name);
  expect(out).not.toContain("account create");
  for (const args of [["key"], ["key", "make"]])
    expect(await runHere(...args)).toMatchObject({ code: 2, error: expect.stringContaining("key create, key list, key revoke") });
});

const calledWrongly = [
  [],
  ["unheard-of"],
  ["constructor"],
  ["account"],
  ["account", "make"],
  ["account", "create"],
  ["account", "create", "one", "two"],
  ["key", "create"],
  ["key", "list"],
  ["key", "revoke"],
  ["source", "set"],
  ["source", "list", "extra"],
  ["backup"],
  ["migrate", "--bogus"],
  ["reencrypt", "extra"],
  ["listen"],
  ["listen", "--port", "70000"],
  ["listen", "--port", "0", "--fail-first", "x"],
  ["listen", "--port", "0", "--cursor-file", "cursor"],
  ["listen", "--port", "0", "--forward-to", "http://127.0.0.1:1/"],
  ["listen", "--forward-to", "ftp://127.0.0.1/"],
  ["listen", "--forward-to", "http://127.0.0.1:1/", "--key-env", "RINGBACK_NO_SUCH_KEY"],
  ["listen", "--port", "0", "--secret", "nonsense"],
  ["simulate", "--port", "0", "--adopt", "unheard-of"],
  ["verify", "--bogus"],
  ["verify"],
  ["watch"],
  ["watch", "OUT-1", "extra", "--key", "k"],
  ["openapi", "extra"],
  ["completion"],
  ["completion", "fish"],
].map((args) => ({ args }));

test.each(calledWrongly)("$args is called wrongly: nothing on stdout, exit code 2", async ({ args }) => {
  expect(await runHere(...args)).toMatchObject({ code: 2, out: "", error: expect.stringMatching(/\S/) });
});

test("a process called wrongly says so in one line and exits with 2", async () => {
  const { code, out, error } = await run(["watch", "OUT-1"]);
  expect({ code, out }).toEqual({ code: 2, out: "" });
  expect(error.trim()).toBe("ringback watch: --key or RINGBACK_API_KEY is needed");
});

test("administration works as processes, several at once, on a database that is not there yet", { timeout: 60_000 }, async () => {
  const folder = await mkdtemp(join(tmpdir(), "ringback-cli-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const environment = { DATABASE_URL: `sqlite:${join(folder, "data", "ringback.db")}` };
  const names = ["one", "two", "three"];
  const created = await Promise.all(names.map((name) => run(["account", "create", name, "--json"], { environment })));
  const made = `made the database ${join(folder, "data", "ringback.db")}\n`;
  expect(created.map(({ code, error }) => ({ code, error: error.replace(made, "") }))).toEqual(names.map(() => ({ code: 0, error: "" })));
  expect(created.map(({ error }) => error)).toContain(made);
  expect(new Set(created.map(({ out }) => (JSON.parse(out) as { key: string }).key)).size).toBe(3);
  const set = await run(["source", "set", "crm", "--base-url", "https://api.example", "--credential-stdin"], {
    environment,
    input: "piped-secret\n",
  });
  expect(set).toMatchObject({ code: 0, error: "" });
  expect(await runCommand(["source", "list"], environment)).toMatchObject({ code: 0, out: expect.not.stringContaining("piped-secret") });
  const revoked = await runCommand(["key", "revoke", (JSON.parse(created[0]?.out ?? "") as { key_id: string }).key_id], environment);
  expect(revoked).toMatchObject({ code: 0, error: "" });
});

test("a reader that leaves ends a command without a fault", async () => {
  const child = start(["openapi"]);
  child.stdout.destroy();
  let error = "";
  child.stderr.on("data", (chunk) => (error += String(chunk)));
  expect(await once(child, "close")).toEqual([0, null]);
  expect(error).toBe("");
});

test("verify says which fault a signature has, for people and for programs", async () => {
  const secret = generateSecret();
  const timestamp = String(Math.floor(Date.now() / 1000));
  const signature = new Webhook(secret).sign("evt_1", new Date(Number(timestamp) * 1000), '{"a":1}');
  const args = ["verify", "--secret", secret, "--id", "evt_1", "--timestamp", timestamp, "--signature", signature, "--body-file", "-"];
  const changed = join(await temporaryFolder(), "body.json");
  await writeFile(changed, '{ "a": 1 }');
  const good = await run(args, { input: '{"a":1}' });
  const bad = await runCommand([...args.slice(0, -1), changed, "--json"]);
  const missing = await runCommand([...args.slice(0, -1), "/nonexistent"]);
  expect(good).toMatchObject({ code: 0, out: expect.stringContaining("the signature is valid") });
  expect(bad.code).toBe(1);
  expect(JSON.parse(bad.out)).toMatchObject({ fault: "body_reserialised" });
  expect(missing).toMatchObject({ code: 1, error: expect.stringContaining("/nonexistent") });
});

test("listen prints what arrives, and SIGINT ends it with 0", async () => {
  const secret = generateSecret();
  const child = start(["listen", "--port", "0", "--secret", secret, "--json"]);
  const output = lines(child);
  const { listening } = JSON.parse((await output.next()).value) as { listening: string };
  const body = JSON.stringify({ type: "call.queued", data: {} });
  const headers = {
    "webhook-id": "evt_1",
    "webhook-timestamp": String(Math.floor(Date.now() / 1000)),
    "webhook-signature": new Webhook(secret).sign("evt_1", new Date(), body),
  };
  const answer = await request(`${listening}/hook?token=x`, { method: "POST", headers, body });
  expect(answer.statusCode).toBe(204);
  expect(JSON.parse((await output.next()).value)).toMatchObject({ verified: true, type: "call.queued", webhook_id: "evt_1", body });
  child.kill("SIGINT");
  expect(await once(child, "exit")).toEqual([0, null]);
});

test("listen answers the first webhooks with a failure, and the others as usual", async () => {
  const listening = Promise.withResolvers<string>();
  const stopping = new AbortController();
  const out = (line: string) => listening.resolve((JSON.parse(line) as { listening: string }).listening);
  const terminal = { out, error: () => undefined, signal: stopping.signal };
  const ended = runCommandLine(["listen", "--port", "0", "--fail-first", "2", "--status", "503", "--json"], terminal);
  const statuses = [];
  for (let n = 0; n < 3; n++) {
    const { statusCode, body } = await request(await listening.promise, { method: "POST", body: "{}" });
    await body.dump();
    statuses.push(statusCode);
  }
  expect(statuses).toEqual([503, 503, 204]);
  stopping.abort();
  expect(await ended).toBe(0);
});

test("simulate serves both APIs until SIGTERM", async () => {
  const child = start(["simulate", "--port", "0", "--adopt", "instant", "--json"]);
  const { listening } = JSON.parse((await lines(child).next()).value) as { listening: string };
  const answer = await request(`${listening}/v1/outbound-calling/OUT-1/status`);
  expect(await answer.body.json()).toEqual({ status: "success", reason: "" });
  child.kill("SIGTERM");
  expect(await once(child, "exit")).toEqual([0, null]);
});

// Setup: a server that answers as a service would. What this proves: what goes out, and what is made of the answers.
test("watch registers with a running service", async () => {
  const requests: { authorization: string | undefined; body: unknown }[] = [];
  const answers = [
    { status: 201, body: { id: "wch_1", call_sid: "OUT-1", status: "active", explain: "waiting", signing_secret: "whsec_x" } },
    {
      status: 422,
      body: { title: "Invalid request", detail: "no", errors: [{ pointer: "/callback_url", detail: "must begin with https://" }] },
    },
  ];
  const server = createServer((incoming, response) => {
    let text = "";
    incoming.on("data", (chunk) => (text += String(chunk)));
    incoming.on("end", () => {
      requests.push({ authorization: incoming.headers.authorization, body: JSON.parse(text) });
      const answer = answers[requests.length - 1];
      response.writeHead(answer?.status ?? 500, { "content-type": "application/json" }).end(JSON.stringify(answer?.body));
    });
  }).listen(0, "127.0.0.1");
  onTestFinished(() => void server.close());
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const flags = ["--no-wait", "--to", "https://example.com/h", "--event", "terminal", "--metadata", "lead=7=8", "--source", "sandbox"];
  const done = await runCommand(["watch", "OUT-1", "--url", url, ...flags], { RINGBACK_API_KEY: "k".repeat(24) });
  expect(done).toMatchObject({ code: 0, out: expect.stringContaining("signing secret, shown once: whsec_x") });
  const refused = await runCommand(["watch", "OUT-1", "--url", url, "--key", "flag"]);
  expect(refused).toMatchObject({ code: 1, error: expect.stringContaining("/callback_url: must begin with https://") });
  expect(requests).toEqual([
    {
      authorization: `Bearer ${"k".repeat(24)}`,
      body: {
        call_sid: "OUT-1",
        callback_url: "https://example.com/h",
        source: "sandbox",
        events: ["terminal"],
        metadata: { lead: "7=8" },
      },
    },
    { authorization: "Bearer flag", body: { call_sid: "OUT-1", callback_url: null } },
  ]);
});

test("openapi prints the document", async () => {
  const { code, out } = await runCommand(["openapi"]);
  expect(code).toBe(0);
  expect(JSON.parse(out)).toMatchObject({ openapi: "3.1.0", webhooks: {} });
});

test("serve refuses a bad environment in one line that names it", async () => {
  const { code, error } = await run(["serve"], { environment: { PORT: "none" } });
  expect(code).toBe(78);
  expect(error).toMatch(/PORT/);
});

test("watch without a service there fails with one line", async () => {
  const { code, error } = await runCommand(["watch", "OUT-1", "--url", "http://127.0.0.1:1", "--key", "k"]);
  expect(code).toBe(1);
  expect(error.trim().split("\n")).toHaveLength(1);
});

test("wrong usage is one line, also where the parser has a hint", async () => {
  const errors: string[] = [];
  const terminal = { out: () => {}, error: (line: string) => void errors.push(line), signal: AbortSignal.abort() };
  expect(await runCommandLine(["account", "set", "acme", "--place-per-minute", "-1"], terminal)).toBe(2);
  expect(errors).toEqual([expect.stringMatching(/^ringback account set: Option '--place-per-minute' argument is ambiguous\..+$/)]);
});

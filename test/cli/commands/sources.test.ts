import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { openSqliteAdministration } from "../../../src/adapters/sqlite/store.ts";
import type { StoredSource } from "../../../src/ports/stores/source-store.ts";
import type { Simulator } from "../../../src/simulator/simulator.ts";
import { runCommand } from "../../harness/service/service.ts";
import { simulatedUpstream } from "../../harness/upstream/simulated-upstream.ts";

let folder: string;
let databasePath: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ringback-cli-"));
  databasePath = join(folder, "ringback.db");
  vi.stubEnv("DATABASE_URL", `sqlite:${databasePath}`);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

const run = (...args: readonly string[]) => runCommand(args);

async function json(...args: readonly string[]): Promise<Readonly<Record<string, unknown>>> {
  const { code, out, error } = await run(...args, "--json");
  expect({ code, error }).toEqual({ code: 0, error: "" });
  return JSON.parse(out) as Readonly<Record<string, unknown>>;
}

const createAccount = (name: string) => run("account", "create", name);

async function stored(): Promise<readonly StoredSource[]> {
  const { store } = await openSqliteAdministration(databasePath);
  try {
    return await store.listSources();
  } finally {
    await store.close();
  }
}

describe("sources of a file", () => {
  const file = {
    url: "https://api.example.com/{region}/calls/{id}?token=very-secret",
    headers: { authorization: "{authorization}", "x-plain": "very-secret-too" },
    status: "/state",
    map: { done: "success" },
    max_polls_per_second: 7,
    trigger: { url: "https://api.example.com/calls", id: "/id", to: "/to", body: { key: "very-secret-body" } },
  };
  const fills = ["--set", "region=eu", "--header-env", "authorization=AUTH"];
  let path: string;
  beforeEach(async () => {
    await createAccount("first");
    vi.stubEnv("AUTH", "Bearer very-secret");
    path = join(dirname(databasePath), "source.json");
    await writeFile(path, JSON.stringify(file));
  });

  test("are kept with their headers sealed, and listed without a secret", async () => {
    const set = await run("source", "set", "crm", "--file", path, ...fills, "--map", "Gone=failure", "--json");
    expect(JSON.parse(set.out)).toMatchObject({
      kind: "json",
      base_url: "https://api.example.com/eu/calls/{id}",
      max_polls_per_second: 7,
      status_map: { gone: "failure" },
      created: true,
    });
    const [source] = await stored();
    expect(source?.definition).not.toContain("Bearer");
    expect(JSON.parse(source?.definition ?? "")).toMatchObject({
      headers: ["authorization", "x-plain"],
      status: "/state",
      map: { done: "success" },
    });
    const listed = [await run("source", "list"), await run("source", "list", "--json")].map(({ out }) => out).join();
    expect(set.out + listed).not.toMatch(/very-secret/);
    expect(listed).toContain("crm  json  https://api.example.com/eu/calls/{id}  7 polls/s  map gone=failure");
  });

  test("keep what is left out; a new file begins with its own map", async () => {
    await json("source", "set", "crm", "--file", path, ...fills, "--map", "gone=failure");
    expect(await json("source", "set", "crm", "--max-polls-per-second", "3", "--map", "odd=queued", "--map", "done=")).toMatchObject({
      max_polls_per_second: 3,
      status_map: { gone: "failure", odd: "queued", done: null },
    });
    expect(await json("source", "set", "crm", "--file", path, ...fills)).toMatchObject({ max_polls_per_second: 7, status_map: {} });
  });

  test("of a preset need its values", async () => {
    const sets = ["--set", "account_sid=AC1", "--header-env", "authorization=AUTH"];
    expect(await json("source", "set", "phone", "--preset", "twilio", ...sets)).toMatchObject({
      base_url: "https://api.twilio.com/2010-04-01/Accounts/AC1/Calls/{id}.json",
    });
    const { code, error } = await run("source", "set", "phone", "--preset", "twilio");
    expect(code).toBe(2);
    expect(error).toContain("--preset twilio: /url has the placeholder {account_sid}, which has no value: add --set account_sid=<value>");
    expect(error).toContain("/headers/authorization has the placeholder {authorization}");
  });

  test.each<[args: readonly string[], message: RegExp]>([
    [["--file", "PATH"], /\/url has the placeholder \{region\}/],
    [["--file", "PATH", ...fills, "--set", "zone=very-secret"], /the file has no placeholder \{zone\} for --set/],
    [["--file", "PATH", ...fills, "--header-env", "x-plain=AUTH"], /\/headers\/x-plain must be one placeholder/],
    [["--file", "PATH", ...fills, "--header-env", "x-plain=NO_SUCH"], /NO_SUCH is not set/],
    [["--file", "PATH", ...fills, "--set", "id=1"], /\{id\} is the SID/],
    [["--file", "PATH", ...fills, "--base-url", "https://x.example"], /--base-url is for sources without --file/],
    [["--file", "PATH", "--preset", "vapi"], /exclude each other/],
    [["--file", "no-such-file.json"], /cannot be read \(ENOENT\)/],
    [["--preset", "acme"], /--preset must be twilio, vapi, retell, bland, github-actions/],
    [["--set", "a=b"], /fill the placeholders of --file or --preset/],
    [["--set", "a"], /fill the placeholders|must be <name>=<value>/],
    [["--base-url", "https://x.example", "--credential", "x", "--map", "success=failure"], /--map maps success, which always means itself/],
    [["--base-url", "https://x.example", "--credential", "x", "--map", "done"], /--map must be <word>=<status>/],
    [["--kind", "json"], /--kind must be polyai-legacy or polyai-agents/],
  ])("%j is called wrongly", async (args, message) => {
    const { code, out, error } = await run("source", "set", "crm", ...args.map((arg) => (arg === "PATH" ? path : arg)));
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(error).toMatch(message);
    expect(error).not.toMatch(/very.secret/);
    expect(await stored()).toEqual([]);
  });
});

async function check(upstream: Simulator, file: object, ...args: readonly string[]) {
  const path = join(dirname(databasePath), "checked.json");
  await writeFile(path, JSON.stringify({ url: `${upstream.url}/calls/{id}`, status: "/state", map: { talking: "calling" }, ...file }));
  expect(await run("source", "set", "checked", "--file", path)).toMatchObject({ code: 0 });
  return run("source", "check", "checked", ...args);
}

describe("source check", () => {
  test("says what the answer proves", async () => {
    await createAccount("first");
    const upstream = await simulatedUpstream();
    upstream.shape({ path: "/calls/{id}", template: { state: "{{status}}" }, authorization: "s3cr3t" });
    const headers = { authorization: "s3cr3t" };
    for (const [sid, status] of [
      ["a", "talking"],
      ["b", "odd"],
    ])
      upstream.script(sid ?? "", { scenario: [{ atMs: 0, status: status ?? "" }], verbatim: true });
    const cases = [
      [await check(upstream, { headers }, "a"), 0, /^ok: address, credential and parsing are right: the status is calling/],
      [await check(upstream, { headers }, "b"), 1, /^bad: .* the status is odd.* no status map/],
      [await check(upstream, { headers }, "c"), 1, /^bad: .* unknown: the SID, the address/],
      [await check(upstream, { headers }), 0, /^ok: .* unknown, as it should.* is not proven/],
      [await check(upstream, {}, "a"), 1, /^bad: the upstream refuses the credential \(401\)/],
      [await check(upstream, { headers, status: "/other" }, "a"), 1, /^bad: not_json/],
      [await check(upstream, { url: "http://127.0.0.1:9/{id}" }, "a"), 1, /^bad: connect/],
    ] as const;
    for (const [{ code, out, error }, expected, text] of cases) {
      expect([code, out, error]).toEqual([expected, expect.stringMatching(text), ""]);
      expect(out).not.toContain("s3cr3t");
    }
    const wrong = [
      await check(upstream, { id_pattern: "[0-9]{9}" }, "a"),
      await check(upstream, { id_pattern: "[0-9]{9}" }),
      await run("source", "check", "sandbox"),
    ];
    expect(wrong.map(({ code }) => code)).toEqual([2, 2, 2]);
    expect(await run("source", "check", "unknown")).toMatchObject({ code: 1 });
  });

  test("checks the source of the environment", async () => {
    const upstream = await simulatedUpstream({ authToken: "token" });
    for (const [name, value] of Object.entries(upstream.environment("polyai-legacy"))) vi.stubEnv(name, value);
    const callSid = upstream.trigger();
    expect(await json("source", "check", "default", callSid)).toMatchObject({ ok: true, call_sid: callSid, observation: "status" });
    vi.stubEnv("POLYAI_AUTH_TOKEN", "another");
    expect(await run("source", "check", "default", callSid)).toMatchObject({ code: 1 });
  });
});

test("source remove is for sources that were set, and refuses one whose calls are watched", async () => {
  await createAccount("first");
  await run("source", "set", "crm", "--base-url", "https://api.example", "--credential", "x");
  expect(await run("source", "remove", "unknown")).toMatchObject({ code: 1 });
  expect(await json("source", "remove", "crm")).toEqual({ name: "crm", ended_watches: 0 });
  expect(await run("source", "remove", "crm")).toMatchObject({ code: 1 });
  expect((await run("source", "list")).out).toMatch(/crm .* removed at /);
  expect(await run("source", "set", "crm", "--base-url", "https://api.example", "--credential", "x")).toMatchObject({ code: 1 });
  for (const name of ["default", "sandbox"]) expect(await run("source", "remove", name)).toMatchObject({ code: 2 });
});

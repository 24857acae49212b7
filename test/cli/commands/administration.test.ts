import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { openSqliteAdministration, openSqliteStore } from "../../../src/adapters/sqlite/store.ts";
import { newId } from "../../../src/domain/ids.ts";
import { openKeyring } from "../../../src/service/open-keyring.ts";
import type { AdministrationStore, ServiceStore } from "../../../src/ports/stores/service-store.ts";
import { runCommand } from "../../harness/service/service.ts";
import type { CreatedKey } from "../../harness/service/service.ts";
import { testPolicy } from "../../harness/store-drafts.ts";

let folder: string;
let databasePath: string;
const open: { close(): Promise<void> }[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ringback-cli-"));
  databasePath = join(folder, "data", "ringback.db");
  vi.stubEnv("DATABASE_URL", `sqlite:${databasePath}`);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  for (const store of open.splice(0)) await store.close();
  await rm(folder, { recursive: true });
});

const run = (...args: readonly string[]) => runCommand(args);

/** What a command that succeeds prints for programs. */
async function json<T = Readonly<Record<string, unknown>>>(...args: readonly string[]): Promise<T> {
  const { code, out, error } = await run(...args, "--json");
  expect({ code, error: error.replace(`made the database ${databasePath}`, "") }).toEqual({ code: 0, error: "" });
  return JSON.parse(out) as T;
}

const createAccount = (...args: readonly string[]) => json<CreatedKey>("account", "create", ...args);

async function administer(): Promise<AdministrationStore> {
  const { store } = await openSqliteAdministration(databasePath);
  open.push(store);
  return store;
}

/** Stands for a service: the lock, the leases, the keys it was started with. */
async function serve(encryptionKeys: string | null = null): Promise<ServiceStore> {
  const store = await openSqliteStore({ path: databasePath, policy: testPolicy });
  open.push(store);
  const { secretBox } = await openKeyring(store, { encryptionKeys, databasePath });
  await store.setServerKeys(secretBox.keyIds);
  return store;
}

async function accountOf(key: string): Promise<string | null> {
  const store = await administer();
  const { hashApiKey } = await openKeyring(store, { encryptionKeys: process.env["RINGBACK_ENCRYPTION_KEY"] ?? null, databasePath });
  return (await store.findAccountByKey([hashApiKey(key)], null))?.account?.name ?? null;
}

describe("a database that does not exist", () => {
  const commands = [
    "key create acme",
    "key list acme",
    "key revoke key_1",
    "source set crm --base-url https://a.example --credential k",
    "source list",
    "reencrypt",
    "migrate",
    "backup copy.db",
  ];
  test.each(commands)("is not made by %s", async (command) => {
    const { code, out, error } = await run(...command.split(" "));
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expect(error).toMatch(/^ringback [^\n]+$/);
    expect(error).toContain(`there is no database ${databasePath}`);
    expect(await readdir(folder)).toEqual([]);
  });

  test("is missing too if its file is empty", async () => {
    await mkdir(join(folder, "data"));
    await writeFile(databasePath, "");
    expect(await run("key", "list", "acme")).toMatchObject({ code: 1, error: expect.stringContaining(databasePath) as string });
    expect((await stat(databasePath)).size).toBe(0);
  });

  test("is made by account create, which prints its whole path once", async () => {
    const path = relative(process.cwd(), databasePath);
    vi.stubEnv("DATABASE_URL", `sqlite:${path}`);
    vi.stubEnv("INIT_CWD", process.cwd());
    expect(await run("account", "create", "acme")).toMatchObject({ code: 0, error: `made the database ${databasePath}` });
    expect(await run("account", "create", "beta")).toMatchObject({ code: 0, error: "" });
    expect(await run("migrate")).toMatchObject({ out: `${databasePath} is up to date` });
  });
});

describe("the state of an account", () => {
  test("is changed by its name or id, once", async () => {
    const { account_id } = await createAccount("acme");
    for (const [command, disabled] of [
      ["disable", true],
      ["enable", false],
    ] as const) {
      expect(await json("account", command, "acme")).toEqual({ account_id, name: "acme", disabled });
      expect(await json("account", "list")).toMatchObject([{ account_id, disabled }]);
      expect((await run("account", command, account_id)).out).toBe(`account acme is ${command}d already`);
    }
    expect(await run("account", "disable", "unknown")).toMatchObject({ code: 1, out: "" });
    expect(await run("account", "disable")).toMatchObject({ code: 2 });
  });

  test("removal needs --yes, spares default and frees the name", { timeout: 30_000 }, async () => {
    const acme = await createAccount("acme");
    await createAccount("default");
    await run("source", "set", "crm", "--account", "acme", "--base-url", "https://a.example", "--credential", "k");
    expect(await run("account", "remove", "acme")).toMatchObject({ code: 2, out: "", error: expect.stringContaining("--yes") as string });
    expect(await run("account", "remove", "default", "--yes")).toMatchObject({ code: 2, out: "" });
    expect(await run("account", "remove", "unknown", "--yes")).toMatchObject({ code: 1, out: "" });
    expect(await accountOf(acme.key)).toBe("acme");
    const removing = run("account", "remove", "acme", "--yes", "--json", "--progress");
    await expect.poll(() => accountOf(acme.key), { timeout: 5000 }).toBeNull();
    const { code, out, error } = await removing;
    expect({ code, removed: JSON.parse(out) as unknown }).toEqual({
      code: 0,
      removed: { account_id: acme.account_id, name: "acme", removed: true },
    });
    expect(error).toContain("waiting for its requests to end");
    expect(await json("source", "list")).toEqual([]);
    expect((await createAccount("acme")).account_id).not.toBe(acme.account_id);
  });
});

describe("account create", () => {
  test("makes the database, the account and a key that works, shown this once", async () => {
    const created = await createAccount("acme");
    expect(created).toEqual({
      account_id: expect.stringMatching(/^acc_/) as string,
      key_id: expect.stringMatching(/^key_/) as string,
      key: expect.stringMatching(/^rb_[0-9a-z]{40}$/) as string,
    });
    expect(await accountOf(created.key)).toBe("acme");
    for (const name of await readdir(join(folder, "data")))
      expect((await readFile(join(folder, "data", name))).includes(created.key)).toBe(false);
    const { out } = await run("account", "create", "for people");
    expect(out).toMatch(
      /^account for people\n {2}account id {2}acc_\S+\n {2}key id {6}key_\S+\n {2}API key {5}rb_\S+\nThe key is shown once/,
    );
    // Without a source it polls nothing, and the output says how to change that.
    expect(out).toMatch(/It polls nothing but the sandbox yet: .*source set --account.*account set --default-source/);
    const { out: withSource } = await run("account", "create", "beta", "--default-source");
    expect(withSource).not.toContain("polls nothing");
  });

  test("gives the source default to whom it is to be encryptionKeys, and to the account default", async () => {
    await createAccount("acme");
    await createAccount("beta", "--default-source");
    await createAccount("default");
    const store = await administer();
    const uses = async (name: string) => (await store.findAccount(name))?.usesDefaultSource;
    expect([await uses("acme"), await uses("beta"), await uses("default")]).toEqual([false, true, true]);
  });

  test("refuses a name that is taken, saying by whom", async () => {
    const { account_id } = await createAccount("acme");
    const { code, out, error } = await run("account", "create", "acme", "--json");
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expect(error).toContain(account_id);
  });

  test.each([[""], ["acc_1"], [" x"], ["x\ny"], ["x".repeat(101)]])("refuses the name %j", async (name) => {
    expect(await run("account", "create", name)).toMatchObject({ code: 2, out: "" });
  });
});

describe("keys", () => {
  test("are made, listed by their ids and revoked", async () => {
    const first = await createAccount("acme");
    const [byName, byId] = [await json<CreatedKey>("key", "create", "acme"), await json<CreatedKey>("key", "create", first.account_id)];
    expect([byName.account_id, byId.account_id]).toEqual([first.account_id, first.account_id]);
    for (const { key } of [first, byName, byId]) expect(await accountOf(key)).toBe("acme");
    const revoked = await json("key", "revoke", byName.key_id);
    expect(revoked).toMatchObject({ key_id: byName.key_id, account_id: first.account_id });
    expect(await accountOf(byName.key)).toBeNull();
    expect(await accountOf(byId.key)).toBe("acme");
    const listed = await run("key", "list", "acme", "--json");
    expect(JSON.parse(listed.out)).toMatchObject([
      { key_id: first.key_id, revoked_at: null },
      { key_id: byName.key_id, revoked_at: revoked["revoked_at"] },
      { key_id: byId.key_id, revoked_at: null },
    ]);
    const { out } = await run("key", "list", first.account_id);
    expect(out.split("\n")).toHaveLength(3);
    expect(listed.out + out).not.toMatch(/rb_/);
  });

  test("have a name, scopes and an end, and are listed with their last use", async () => {
    const first = await createAccount("acme");
    const made = await json<CreatedKey>("key", "create", "acme", "--name", "crm", "--scope", "watch,read", "--expires", "90d");
    const store = await administer();
    await store.noteKeyUses([{ keyId: made.key_id, usedAtMs: Date.UTC(2026, 10, 24, 12, 34) }]);
    const [whole, limited] = JSON.parse((await run("key", "list", "acme", "--json")).out) as readonly Readonly<Record<string, string>>[];
    const scopes = ["read", "watch", "place", "endpoints", "admin"];
    const unused = { expires_at: null, last_used_at: null, revoked_at: null };
    expect(whole).toEqual({ key_id: first.key_id, name: "command line", scopes, created_at: expect.any(String) as string, ...unused });
    expect(limited).toEqual({
      key_id: made.key_id,
      name: "crm",
      scopes: ["read", "watch"],
      created_at: expect.any(String) as string,
      expires_at: expect.any(String) as string,
      last_used_at: "2026-11-24T12:34:00.000Z",
      revoked_at: null,
    });
    const days = (Date.parse(limited?.["expires_at"] ?? "") - Date.parse(limited?.["created_at"] ?? "")) / 86_400_000;
    expect(Math.round(days)).toBe(90);
    expect((await run("key", "list", "acme")).out).toMatch(/crm +read,watch +made .* used 2026-11-24T12:34:00.000Z +ends /);
  });

  test("of the operator belong to no account", async () => {
    await createAccount("acme");
    const made = await json<Omit<CreatedKey, "account_id">>("key", "create", "--operator", "--name", "me");
    expect(made).toMatchObject({ account_id: null, key: expect.stringMatching(/^rb_/) as string });
    expect(JSON.parse((await run("key", "list", "--operator", "--json")).out)).toMatchObject([
      { key_id: made.key_id, name: "me", scopes: ["read"] },
    ]);
    expect(JSON.parse((await run("key", "list", "acme", "--json")).out)).toHaveLength(1);
    expect((await run("key", "create", "--operator")).out).not.toContain("account id");
    expect(await json("key", "revoke", made.key_id)).toMatchObject({ account_id: null, key_id: made.key_id });
  });

  test.each([
    [["create"]],
    [["create", "acme", "--operator"]],
    [["create", "--operator", "--scope", "admin"]],
    [["create", "acme", "--scope", "write"]],
    [["create", "acme", "--scope", ""]],
    [["create", "acme", "--expires", "soon"]],
    [["create", "acme", "--expires", "0d"]],
    [["create", "acme", "--expires", "90"]],
    [["create", "acme", "--expires", "99999d"]],
    [["create", "acme", "--name", ""]],
    [["create", "acme", "--name", "environment"]],
    [["list"]],
    [["list", "acme", "--operator"]],
  ])("key %j is called wrongly", async (args) => {
    await createAccount("acme");
    expect(await run("key", ...args)).toMatchObject({ code: 2, out: "" });
    expect(await (await administer()).listKeys(null)).toEqual([]);
  });

  test.each([
    ["key", "create", "unknown"],
    ["key", "list", "unknown"],
    ["key", "revoke", "key_unknown"],
  ])("%s %s %s fails with one line", async (...args) => {
    await createAccount("acme");
    const { code, out, error } = await run(...args);
    expect({ code, out, lines: error.split("\n").length }).toEqual({ code: 1, out: "", lines: 1 });
  });

  test("are listed with their accounts, and what these have", async () => {
    const first = await createAccount("acme", "--may-place");
    await createAccount("beta");
    const nothing = { active_watches: 0, endpoints: 0, hooks: 0, polls_per_minute: 0, placed_today: 0, last_request_at: null };
    expect(await json("account", "list")).toEqual([
      { account_id: first.account_id, name: "acme", disabled: false, ...nothing },
      { account_id: expect.any(String) as string, name: "beta", disabled: false, ...nothing },
    ]);
    expect((await run("account", "list")).out).toMatch(/^acme {2}acc_\w+ {2}0 active watches .*no request yet\nbeta {2}acc_/);
  });

  test("of the environment are said to come back", async () => {
    await createAccount("acme");
    const store = await administer();
    const account = await store.findAccount("acme");
    const keyId = newId("key", 1);
    await store.ensureKey({ id: keyId, accountId: account?.id ?? "", name: "environment", fingerprints: ["f"], nowMs: 1 });
    expect(await run("key", "revoke", keyId)).toMatchObject({ code: 0, error: expect.stringContaining("RINGBACK_API_KEY") });
  });
});

async function sealedCredential(): Promise<Uint8Array | undefined> {
  return (await (await administer()).listSources())[0]?.sealedCredential;
}

function useKeys(...keys: readonly string[]): void {
  vi.stubEnv("RINGBACK_ENCRYPTION_KEY", keys.join(","));
}

describe("sources", () => {
  const legacy = ["--base-url", "https://api.example", "--credential", "very-secret"];
  beforeEach(() => createAccount("first"));

  test("are made with defaults and changed by what is named", async () => {
    expect(await json("source", "set", "crm", ...legacy)).toEqual({
      name: "crm",
      kind: "polyai-legacy",
      base_url: "https://api.example",
      agent_id: null,
      environment: null,
      status_map: {},
      max_polls_per_second: 200,
      account_id: null,
      removed_at: null,
      created: true,
    });
    const before = await sealedCredential();
    expect(await json("source", "set", "crm", "--max-polls-per-second", "12.5")).toMatchObject({
      base_url: "https://api.example",
      max_polls_per_second: 12.5,
      created: false,
    });
    expect(await sealedCredential()).toEqual(before);
    await run("source", "set", "crm", "--credential", "another-secret");
    expect(await sealedCredential()).not.toEqual(before);
  });

  test("of the other kind need an agent, and lose it with the kind", async () => {
    await run("source", "set", "crm", ...legacy);
    expect(await run("source", "set", "crm", "--kind", "polyai-agents")).toMatchObject({
      code: 2,
      error: "ringback source set: --agent-id is missing: polyai-agents needs it; --environment is missing: polyai-agents needs it",
    });
    const agents = ["--kind", "polyai-agents", "--agent-id", "agent", "--environment", "live"];
    expect(await json("source", "set", "crm", ...agents)).toMatchObject({ kind: "polyai-agents", agent_id: "agent", environment: "live" });
    expect(await run("source", "set", "crm", "--kind", "polyai-legacy", "--agent-id", "agent")).toMatchObject({ code: 2 });
    expect(await json("source", "set", "crm", "--kind", "polyai-legacy")).toMatchObject({ agent_id: null, environment: null });
  });

  test("are for one account, or for everybody, and stay so", async () => {
    const { account_id } = await createAccount("acme");
    await createAccount("beta");
    expect(await json("source", "set", "own", ...legacy, "--account", "acme")).toMatchObject({ account_id });
    expect(await json("source", "set", "own", "--max-polls-per-second", "1")).toMatchObject({ account_id });
    expect(await json("source", "set", "own", "--account", account_id)).toMatchObject({ account_id });
    await json("source", "set", "shared", ...legacy);
    for (const args of [
      ["own", "--account", "beta"],
      ["shared", "--account", "acme"],
    ])
      expect(await run("source", "set", ...args)).toMatchObject({ code: 1, error: expect.stringContaining("choose another name") });
    expect(await run("source", "set", "other", ...legacy, "--account", "unknown")).toMatchObject({ code: 1 });
  });

  test("are listed with that of the environment, never with a credential", async () => {
    const { account_id } = await createAccount("acme");
    await run("source", "set", "own", ...legacy, "--account", "acme");
    await run("source", "set", "all", ...legacy);
    vi.stubEnv("POLYAI_BASE_URL", "https://default.example");
    vi.stubEnv("POLYAI_AUTH_TOKEN", "very-secret");
    const listed = await run("source", "list", "--json");
    expect(JSON.parse(listed.out)).toMatchObject([
      { name: "default", base_url: "https://default.example", origin: "environment" },
      { name: "all", account_id: null, origin: "command line" },
      { name: "own", account_id, origin: "command line" },
    ]);
    const { out } = await run("source", "list");
    expect(out).toContain(`own  polyai-legacy  https://api.example  200 polls/s  for account acme (${account_id})`);
    expect(listed.out + out).not.toContain("very-secret");
  });

  test("take their credential from a variable", async () => {
    vi.stubEnv("MY_TOKEN", "very-secret");
    await json("source", "set", "crm", "--base-url", "https://api.example", "--credential-env", "MY_TOKEN");
    expect(await run("source", "set", "crm", "--credential-env", "NO_SUCH_TOKEN")).toMatchObject({ code: 2 });
    const store = await administer();
    const { secretBox } = await openKeyring(store, { encryptionKeys: null, databasePath });
    const [source] = await store.listSources();
    expect(secretBox.open(source?.sealedCredential ?? new Uint8Array(), `${source?.id}:credential`)).toBe("very-secret");
  });

  test.each([
    [["default", ...legacy], /environment/],
    [["sandbox", ...legacy], /built-in/],
    [["a.b", ...legacy], /letters, digits/],
    [["crm"], /--base-url is missing.*; the credential is missing/],
    [["crm", "--base-url", "https://user:very-secret@api.example", "--credential", "x"], /--base-url must have no credentials/],
    [["crm", "--base-url", "https://api.example", "--credential", "very secret"], /the credential must be visible ASCII/],
    [["crm", ...legacy, "--max-polls-per-second", "0"], /--max-polls-per-second must be a number from 0.01/],
    [["crm", ...legacy, "--max-polls-per-second", "1e9"], /--max-polls-per-second must be/],
    [["crm", ...legacy, "--kind", "twilio"], /--kind must be polyai-legacy or polyai-agents/],
    [["crm", ...legacy, "--credential-env", "HOME"], /exclude each other/],
  ])("%j is called wrongly", async (args, message) => {
    const { code, out, error } = await run("source", "set", ...args);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(error).toMatch(message);
    expect(error).not.toMatch(/very.secret/);
    expect(await (await administer()).listSources()).toEqual([]);
  });
});

describe("a change of encryption keys", () => {
  const [older, newer] = [randomBytes(32).toString("base64"), randomBytes(32).toString("base64")];

  test("goes through three steps, and API keys stay valid", async () => {
    useKeys(older);
    const { key } = await createAccount("acme");
    await run("source", "set", "crm", "--base-url", "https://api.example", "--credential", "token");
    useKeys(newer, older);
    expect(await json("reencrypt")).toMatchObject({
      total: 3,
      resealed: { hash_key: 1, signing_key: 1, secret: 0, headers: 0, credential: 1 },
      unreadable: [],
      remaining_key_ids: [],
    });
    useKeys(newer);
    expect(await accountOf(key)).toBe("acme");
    expect((await run("reencrypt")).out).toMatch(/^0 values re-encrypted with the key [0-9a-f]{16}$/);
    useKeys(older);
    expect(await run("key", "create", "acme")).toMatchObject({ code: 1, error: expect.stringMatching(/sealed with the key [0-9a-f]{16}/) });
  });

  test("seals nothing that a running service could not open", async () => {
    useKeys(older);
    await createAccount("acme");
    const service = await serve(older);
    useKeys(newer, older);
    for (const args of [["reencrypt"], ["account", "create", "beta"], ["source", "set", "crm", "--base-url", "https://x.example"]])
      expect(await run(...args)).toMatchObject({ code: 1, error: expect.stringContaining("the running service does not have the key") });
    expect(await service.readKeyIds()).toHaveLength(1);
    // What seals nothing may go on.
    expect((await run("key", "create", "acme")).code).toBe(0);
    await service.close();
    await serve(`${newer},${older}`);
    expect((await run("reencrypt")).code).toBe(0);
  });

  test("waits for a service that is just starting to say which keys it has", async () => {
    useKeys(newer);
    await createAccount("acme");
    const service = await openSqliteStore({ path: databasePath, policy: testPolicy });
    open.push(service);
    const created = createAccount("beta");
    // A command that starts before has to be repeated.
    const keyring = await openKeyring(service, { encryptionKeys: newer, databasePath });
    await service.setServerKeys(keyring.secretBox.keyIds);
    expect(await accountOf((await created).key)).toBe("beta");
  });

  test("names what does not open, and fails", async () => {
    useKeys(older);
    await createAccount("acme");
    const store = await administer();
    const { secretBox } = await openKeyring(store, { encryptionKeys: older, databasePath });
    const sealedCredential = secretBox.seal("token", "another row");
    const sourceId = newId("src", 1);
    const source = {
      id: sourceId,
      name: "crm",
      accountId: null,
      kind: "polyai-legacy",
      baseUrl: "https://x.example",
      agentId: null,
    } as const;
    await store.setSource(
      { by: null, ...source, environment: null, definition: null, statusMap: null, maxPollsPerSecond: 1, sealedCredential, nowMs: 1 },
      null,
    );
    useKeys(newer, older);
    const { code, out, error } = await run("reencrypt");
    expect(code).toBe(1);
    expect(out).toContain("2 values re-encrypted");
    expect(error).toBe(`ringback reencrypt: the credential of ${sourceId} cannot be decrypted and was left unchanged`);
  });
});

describe("backup", () => {
  test("is the whole database, readable by its owner alone, made while a service writes; the key is named and not in it", async () => {
    const { key } = await createAccount("acme");
    const service = await serve();
    const file = join(folder, "copy.db");
    const backup = json<{ bytes: number; encryption_key: { origin: string; key_ids: string[] } }>("backup", file);
    await Promise.all(Array.from({ length: 50 }, () => service.checkWritable()));
    const { bytes, encryption_key } = await backup;
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect((await stat(file)).size).toBe(bytes);
    const keyPath = join(folder, "data", "encryption.key");
    expect(encryption_key).toEqual({ origin: keyPath, key_ids: [expect.stringMatching(/^[0-9a-f]{16}$/)] });
    expect((await readFile(file)).includes(await readFile(keyPath))).toBe(false);
    expect((await readdir(folder)).toSorted()).toEqual(["copy.db", "data"]);
    const restored = await openSqliteAdministration(file);
    open.push(restored.store);
    const { hashApiKey } = await openKeyring(restored.store, {
      encryptionKeys: (await readFile(keyPath, "utf8")).trim(),
      databasePath: file,
    });
    expect((await restored.store.findAccountByKey([hashApiKey(key)], null))?.account?.name).toBe("acme");
  });

  test("says that the variable holds the key where it does", async () => {
    vi.stubEnv("RINGBACK_ENCRYPTION_KEY", randomBytes(32).toString("base64"));
    await createAccount("acme");
    expect((await run("backup", join(folder, "copy.db"))).out).toMatch(/keep RINGBACK_ENCRYPTION_KEY \(key [0-9a-f]{16}\) separately/);
  });

  test("overwrites no file and leaves none behind if it fails", async () => {
    await createAccount("acme");
    const file = join(folder, "mine");
    await writeFile(file, "mine");
    expect(await run("backup", file)).toMatchObject({ code: 1, out: "", error: expect.stringContaining("already exists") });
    expect(await readFile(file, "utf8")).toBe("mine");
    expect((await run("backup", join(folder, "nowhere", "copy.db"))).code).toBe(1);
    await writeFile(databasePath, "this is no database any more. ".repeat(100));
    expect((await run("backup", join(folder, "copy.db"))).code).toBe(1);
    expect((await readdir(folder)).toSorted()).toEqual(["data", "mine"]);
  });

  test("makes no database where there is none", async () => {
    expect(await run("backup", join(folder, "copy.db"))).toMatchObject({ code: 1, error: expect.stringContaining("there is no database") });
    expect(await readdir(folder)).toEqual([]);
  });
});

test("migrate says how far the database was behind", async () => {
  // A database without a schema, as an older release could have left it at most.
  await mkdir(join(folder, "data"));
  const connection = new DatabaseSync(databasePath);
  connection.exec("pragma user_version = 1");
  connection.close();
  expect(await json("migrate")).toEqual({ database: databasePath, migrations: expect.any(Number) as number });
  expect(await json("migrate")).toMatchObject({ migrations: 0 });
});

test.each([
  ["sqlite::memory:", /a database in memory belongs to the process/],
  ["mysql://x", /DATABASE_URL: must be/],
])("DATABASE_URL=%s: one line and exit code 1", async (url, message) => {
  vi.stubEnv("DATABASE_URL", url);
  for (const args of [["account", "create", "acme"], ["backup", "x"], ["migrate"]])
    expect(await run(...args)).toMatchObject({ code: 1, out: "", error: expect.stringMatching(message) });
});

test("an environment in which no service would start is good enough for administration", async () => {
  vi.stubEnv("PORT", "none");
  vi.stubEnv("POLYAI_BASE_URL", "half a source");
  await createAccount("acme");
  expect((await run("source", "list")).code).toBe(0);
});

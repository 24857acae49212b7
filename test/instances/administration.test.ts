import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openPostgresAdministration } from "../../src/adapters/postgres/opening.ts";
import { eventually } from "../harness/service/eventually.ts";
import type { Client } from "../harness/service/client.ts";
import { encryptionKey } from "../harness/service/environment.ts";
import type { Environment } from "../harness/service/environment.ts";
import { runCommand, temporaryFolder } from "../harness/service/service.ts";
import type { CreatedKey } from "../harness/service/service.ts";
import { startInstance } from "./instance.ts";
import { TestPostgres } from "../harness/postgres/postgres-database.ts";
import { simulatedUpstream } from "../harness/upstream/simulated-upstream.ts";

type Source = { readonly name: string; readonly state: string };

const queued = [{ atMs: 0, status: "queued" }];

let database: TestPostgres;
let environment: Environment;
beforeEach(async () => {
  database = await TestPostgres.create();
  environment = { DATABASE_URL: database.url, RINGBACK_ENCRYPTION_KEY: encryptionKey };
});
afterEach(() => database.dispose());

const run = (...args: readonly string[]) => runCommand(args, environment);

async function json<T = Readonly<Record<string, unknown>>>(...args: readonly string[]): Promise<T> {
  const { code, out, error } = await run(...args, "--json");
  expect({ code, error }).toEqual({ code: 0, error: "" });
  return JSON.parse(out) as T;
}

const sourcesOf = (asked: Client) => asked.list<Source>("/v1/sources");

const stateOf = async (asked: Client) => (await sourcesOf(asked)).find(({ name }) => name === "crm")?.state ?? "none";

async function feed(asked: Client, after: string | null) {
  const { body } = await asked.get(`/v1/events?limit=200${after === null ? "" : `&after=${after}`}`);
  return body as unknown as { readonly data: readonly { readonly type: string }[]; readonly next_cursor: string };
}

async function keyIdsInUse(): Promise<readonly string[]> {
  const { store } = await openPostgresAdministration(database.url);
  try {
    return await store.readKeyIds();
  } finally {
    await store.close();
  }
}

/** Both instances, and for each a client of an account that the command line makes. */
async function twoInstances(upstreamUrl: string) {
  const acme = await json<CreatedKey>("account", "create", "acme");
  const instances = [];
  for (let n = 0; n < 2; n++) instances.push(await startInstance({ databaseUrl: database.url, upstreamUrl }));
  return { acme, clients: instances.map((instance) => instance.clientOf(acme.key)) };
}

test("every running instance follows accounts, keys and sources that the command line changes", async () => {
  expect(await json("migrate")).toEqual({ database: "postgres", migrations: 0 });
  expect(await run("backup", "copy.db")).toMatchObject({
    code: 1,
    out: "",
    error: expect.stringMatching(/^[^\n]*pg_dump[^\n]*$/) as string,
  });
  const simulator = await simulatedUpstream();
  const { acme, clients } = await twoInstances(simulator.url);
  for (const each of clients) expect((await each.get("/v1/me")).body).toMatchObject({ id: acme.account_id, name: "acme" });

  await json("source", "set", "crm", "--base-url", simulator.url, "--credential", "any", "--account", "acme");
  for (const each of clients)
    await eventually(
      () => sourcesOf(each),
      (sources) => sources.some(({ name }) => name === "crm"),
    );
  const sids = Array.from({ length: 8 }, () => simulator.trigger({ scenario: queued }));
  const [first] = clients;
  await first?.post("/v1/watches/batch", {
    watches: sids.map((callSid) => ({ call_sid: callSid, source: "crm", callback_url: "http://127.0.0.1:9/" })),
  });
  await eventually(
    async () => Promise.all(sids.map(async (sid) => (await first?.get(`/v1/calls/${sid}?source=crm`))?.body["status"])),
    (statuses) => statuses.every((status) => status === "queued"),
  );

  const second = await json<CreatedKey>("key", "create", "acme");
  await json("key", "revoke", acme.key_id);
  for (const each of clients)
    await eventually(
      () => each.get("/v1/me"),
      ({ status }) => status === 401,
    );
  expect(await json<readonly Readonly<Record<string, unknown>>[]>("key", "list", "acme")).toMatchObject([
    { key_id: acme.key_id },
    { key_id: second.key_id, revoked_at: null },
  ]);
}, 60_000);

test("a suspended source resumes on every instance with its new credential", async () => {
  const simulator = await simulatedUpstream({ authToken: "right" });
  const { clients } = await twoInstances(simulator.url);
  await json("source", "set", "crm", "--base-url", simulator.url, "--credential", "wrong");
  for (const each of clients)
    await eventually(
      () => stateOf(each),
      (now) => now !== "none",
    );
  const sid = simulator.trigger({ scenario: queued });
  await clients[0]?.post("/v1/watches", { call_sid: sid, source: "crm", callback_url: "http://127.0.0.1:9/" });
  for (const each of clients)
    await eventually(
      () => stateOf(each),
      (now) => now === "suspended",
    );
  await json("source", "set", "crm", "--credential", "right");
  for (const each of clients)
    await eventually(
      () => stateOf(each),
      (now) => now === "ok" || now === "unproven",
    );
  await eventually(
    async () => (await clients[1]?.get(`/v1/calls/${sid}?source=crm`))?.body["status"],
    (status) => status === "queued",
  );
}, 60_000);

test("nothing is sealed with a key that a running instance does not have, everything is resealed with one that all have", async () => {
  const simulator = await simulatedUpstream();
  await json("account", "create", "acme");
  const newer = Buffer.alloc(32, 9).toString("base64");
  const instance = await startInstance({ databaseUrl: database.url, upstreamUrl: simulator.url });
  environment = { ...environment, RINGBACK_ENCRYPTION_KEY: `${newer},${encryptionKey}` };
  expect(await run("reencrypt")).toMatchObject({ code: 1, error: expect.stringContaining("does not have the key") as string });
  await instance.stop();
  const both = { RINGBACK_ENCRYPTION_KEY: `${newer},${encryptionKey}` };
  const rotated = await startInstance({ databaseUrl: database.url, upstreamUrl: simulator.url, environment: both });
  expect(await json("reencrypt")).toMatchObject({ unreadable: [], remaining_key_ids: [] });
  expect((await rotated.client.get("/v1/me")).status).toBe(200);
  await rotated.stop();
  environment = { ...environment, RINGBACK_ENCRYPTION_KEY: newer };
  expect((await run("key", "list", "acme")).code).toBe(0);
}, 60_000);

test("instances that get a new key one after the other seal with it once all of them have it", async () => {
  const simulator = await simulatedUpstream();
  await json("account", "create", "acme");
  const newer = Buffer.alloc(32, 9).toString("base64");
  const start = (given: Environment) => startInstance({ databaseUrl: database.url, upstreamUrl: simulator.url, environment: given });
  const both = { RINGBACK_ENCRYPTION_KEY: `${newer},${encryptionKey}` };
  let endpoints = 0;
  const register = async (asked: Client) => {
    const n = ++endpoints;
    const callSid = simulator.trigger({ scenario: queued });
    const watch = {
      call_sid: callSid,
      callback_url: `http://127.0.0.1:9/${n}`,
      signing_secret: `whsec_${Buffer.alloc(24, n).toString("base64")}`,
    };
    expect((await asked.post("/v1/watches", watch)).status).toBe(201);
    return keyIdsInUse();
  };
  const old = await start({});
  const first = await start(both);
  const before = await keyIdsInUse();
  expect(await register(first.client)).toEqual(before);
  await old.stop();
  const second = await start(both);
  await eventually(
    () => register(second.client),
    (keyIds) => keyIds.length === before.length + 1,
  );
}, 60_000);

test("the service goes on with an embedded database that was moved", async () => {
  const folder = await temporaryFolder();
  const simulator = await simulatedUpstream();
  const path = join(folder, "ringback.db");
  const embedded = `sqlite:${path}`;
  const before = await startInstance({ databaseUrl: embedded, upstreamUrl: simulator.url });
  const sids = Array.from({ length: 5 }, () => simulator.trigger({ scenario: [...queued, { atMs: 8000, status: "success" }] }));
  const watches = sids.map((callSid) => ({ call_sid: callSid, callback_url: "http://127.0.0.1:9/pending" }));
  const batch = await before.client.post("/v1/watches/batch", { watches });
  expect(batch.status).toBe(200);
  await before.client.post("/v1/hooks", { url: "http://127.0.0.1:9/hook" });
  const seen = await eventually(
    () => feed(before.client, null),
    ({ data }) => data.length >= 5,
  );

  expect(await run("migrate", "--from", embedded)).toMatchObject({
    code: 1,
    error: expect.stringContaining("another server is using") as string,
  });
  await before.stop();
  expect(await run("migrate", "--from", `sqlite:${folder}/none.db`)).toMatchObject({
    code: 1,
    error: expect.stringContaining("does not exist") as string,
  });
  expect(await run("migrate", "--to", database.url)).toMatchObject({ code: 2 });
  expect(await run("migrate", "--from", embedded, "--to", embedded)).toMatchObject({ code: 2 });
  const moved = await json<{ readonly tables: readonly { readonly table: string; readonly rows: number }[] }>(
    "migrate",
    "--from",
    embedded,
  );
  expect(moved.tables.find(({ table }) => table === "watches")?.rows).toBe(5);
  expect(await run("migrate", "--from", embedded, "--to", database.url)).toMatchObject({
    code: 1,
    error: expect.stringContaining("must be empty") as string,
  });

  const after = await startInstance({ databaseUrl: database.url, upstreamUrl: simulator.url });
  expect((await after.client.get("/v1/me")).body).toEqual((await embeddedMe(folder, simulator.url)).body);
  const rest = await eventually(
    () => feed(after.client, seen.next_cursor),
    ({ data }) => data.filter(({ type }) => type === "call.success").length === 5,
  );
  expect(rest.data.some(({ type }) => type === "call.queued")).toBe(false);
}, 60_000);

/** The embedded database is as it was: a service runs on it. */
async function embeddedMe(folder: string, upstreamUrl: string) {
  const again = await startInstance({ databaseUrl: `sqlite:${join(folder, "ringback.db")}`, upstreamUrl });
  const me = await again.client.get("/v1/me");
  await again.stop();
  return me;
}

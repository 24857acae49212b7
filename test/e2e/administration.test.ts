import { randomBytes } from "node:crypto";
import { copyFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { FakeClock } from "../harness/fake-clock.ts";
import { bodyOf, collectingReceiver } from "../harness/receivers/collecting-receiver.ts";
import type { Client } from "../harness/service/client.ts";
import { fastPolling, signingSecret } from "../harness/service/environment.ts";
import { eventually } from "../harness/service/eventually.ts";
import { prepareService, startService, temporaryFolder } from "../harness/service/service.ts";
import type { CreatedKey } from "../harness/service/service.ts";
import { ServiceWorld } from "../harness/service/service-world.ts";
import { simulatedUpstream } from "../harness/upstream/simulated-upstream.ts";

const queuedForEver = [{ atMs: 0, status: "queued" }];

const namesFor = async (client: Client) => (await client.list("/v1/sources")).map(({ name }) => name);

/** The service on a clock that the test moves; commands run beside it on the same database. */
const administered = () => ServiceWorld.start({}, { database: "sqlite-file", clock: new FakeClock(Date.now()) });

test("accounts and keys that commands make and revoke are noticed by a running service", async () => {
  const world = await administered();
  const acme = await world.service.createAccount("acme");
  expect((await acme.client.get("/v1/me")).body).toMatchObject({ id: acme.account_id, name: "acme" });
  const second = await world.service.command<CreatedKey>(["key", "create", "acme"]);
  const successor = world.service.clientOf(second.key);
  expect((await successor.get("/v1/me")).status).toBe(200);
  await world.service.command(["key", "revoke", acme.key_id]);
  await world.until(async () => (await acme.client.get("/v1/me")).status === 401);
  expect((await successor.get("/v1/me")).status).toBe(200);
  expect((await world.client.get("/v1/me")).status).toBe(200);
});

test("a service starts without RINGBACK_API_KEY when an account is there", { timeout: 60_000 }, async () => {
  const service = await prepareService({ as: "process", environment: { RINGBACK_API_KEY: "" } });
  await expect(service.start()).rejects.toThrow(/account create/);
  const { client } = await service.createAccount("acme");
  await service.start();
  expect((await client.get("/v1/me")).status).toBe(200);
  expect((await service.client.get("/v1/me")).status).toBe(401);
});

test("a source that a command sets is used by the accounts that it is for, and followed when it changes", async () => {
  // Setup: two upstreams with credentials of their own; neither is in the environment. Timeline: the source is set to the
  // first, a call is watched there, then the source is set to the second, where the same call is further on.
  const [one, two] = [await simulatedUpstream({ authToken: "token-one" }), await simulatedUpstream({ authToken: "token-two" })];
  const receiver = await collectingReceiver();
  const world = await administered();
  const [acme, beta] = [await world.service.createAccount("acme"), await world.service.createAccount("beta")];
  const callSid = one.trigger({ scenario: queuedForEver });
  const watch = { call_sid: callSid, source: "crm", callback_url: `${receiver.url}/crm`, signing_secret: signingSecret };
  const noSource = { status: 422, body: { type: "urn:ringback:problem:no-source", errors: [{ pointer: "/source" }] } };
  expect(await acme.client.post("/v1/watches", watch)).toMatchObject(noSource);

  const set = ["source", "set", "crm", "--account", "acme", "--credential-env", "TOKEN"];
  await world.service.command([...set, "--base-url", one.url], { TOKEN: "token-one" });
  await world.until(async () => (await acme.client.post("/v1/watches", watch)).status === 201);
  await world.until(() => receiver.deliveries.length === 1);

  expect(await beta.client.post("/v1/watches", watch)).toMatchObject(noSource);
  expect(await namesFor(acme.client)).toEqual(["sandbox", "crm"]);
  expect(await namesFor(beta.client)).toEqual(["sandbox"]);

  two.trigger({ scenario: [{ atMs: 0, status: "calling" }] }, callSid);
  await world.service.command([...set, "--base-url", two.url], { TOKEN: "token-two" });
  await world.until(() => receiver.deliveries.length === 2);
  const polls = one.pollCount(callSid);
  two.script(callSid, { scenario: [{ atMs: 0, status: "success" }] });
  await world.until(() => receiver.deliveries.length === 3);
  expect(one.pollCount(callSid)).toBe(polls);
  expect(receiver.deliveries.map(({ verification }) => verification.kind)).toEqual(["verified", "verified", "verified"]);
  expect(receiver.typesAt("/crm")).toEqual(["call.queued", "call.calling", "call.success"]);
  expect(JSON.stringify(world.lines)).not.toMatch(/token-(?:one|two)/);
});

test("a new credential ends the suspension of a source, and hooks are notified", async () => {
  const upstream = await simulatedUpstream({ authToken: "right" });
  const receiver = await collectingReceiver();
  const world = await administered();
  const { client } = await world.service.createAccount("acme");
  await world.service.command(["source", "set", "crm", "--base-url", upstream.url, "--credential", "wrong"]);
  const callSid = upstream.trigger({ scenario: queuedForEver });
  const hook = { url: `${receiver.url}/operations`, events: ["source.suspended", "source.resumed"], signing_secret: signingSecret };
  expect((await client.post("/v1/hooks", hook)).status).toBe(201);
  const watch = { call_sid: callSid, source: "crm", callback_url: `${receiver.url}/calls`, signing_secret: signingSecret };
  await world.until(async () => (await client.post("/v1/watches", watch)).status === 201);
  await world.until(() => receiver.deliveries.length === 1);
  await world.service.command(["source", "set", "crm", "--credential", "right"]);
  await world.until(() => receiver.typesAt("/operations").length + receiver.typesAt("/calls").length === 3);
  expect(receiver.typesAt("/calls")).toEqual(["call.queued"]);
  expect(receiver.typesAt("/operations")).toEqual(["source.suspended", "source.resumed"]);
});

test("the encryption key is changed while the service goes on delivering", { timeout: 90_000 }, async () => {
  // Timeline: the service runs with the old key, then with both, everything is resealed while webhooks are sent, then it
  // runs with the new key alone. What this proves: no sealed value is lost on the way, and clients do not notice.
  const [older, newer] = [randomBytes(32).toString("base64"), randomBytes(32).toString("base64")];
  const upstream = await simulatedUpstream({ authToken: "token" });
  const receiver = await collectingReceiver();
  const database = { url: `sqlite:${join(await temporaryFolder(), "ringback.db")}` };
  const start = (keys: string) => startService({ database, environment: { ...fastPolling, RINGBACK_ENCRYPTION_KEY: keys } });
  let service = await start(older);
  const { key } = await service.createAccount("acme");
  let client = service.clientOf(key);
  await service.command(["source", "set", "crm", "--base-url", upstream.url, "--credential", "token"]);
  const callSid = upstream.trigger({ scenario: queuedForEver });
  const watch = (path: string) => ({
    call_sid: callSid,
    source: "crm",
    callback_url: `${receiver.url}/${path}`,
    signing_secret: signingSecret,
    headers: { "x-gate": `open ${path}` },
  });
  await eventually(
    () => client.post("/v1/watches", watch("first")),
    (answer) => answer.status === 201,
  );
  await receiver.until(() => receiver.deliveries.length === 1);

  await expect(service.command(["reencrypt"], { RINGBACK_ENCRYPTION_KEY: `${newer},${older}` })).rejects.toThrow(
    /the running service does not have the key/,
  );
  await service.stop();
  service = await start(`${newer},${older}`);
  client = service.clientOf(key);
  const resealing = service.command<{ total: number; remaining_key_ids: string[] }>(["reencrypt"]);
  for (let n = 0; n < 20; n++) expect((await client.post("/v1/watches", watch(`during-${n}`))).status).toBe(201);
  expect(await resealing).toMatchObject({ remaining_key_ids: [] });
  await receiver.until(() => receiver.deliveries.length === 21);
  await service.stop();
  service = await start(newer);
  client = service.clientOf(key);
  upstream.script(callSid, { scenario: [{ atMs: 0, status: "success" }] });
  await receiver.until(() => receiver.deliveries.length >= 42);
  const last = receiver.deliveries.slice(21);
  expect(new Set(last.map(({ path }) => path)).size).toBe(21);
  for (const { verification, headers, path } of last) {
    expect(verification.kind).toBe("verified");
    expect(headers["x-gate"]).toBe(`open ${path.slice(1)}`);
  }
  expect((await client.post("/v1/watches", watch("first"))).status).toBe(200);
  await service.stop();
  await expect(start(older)).rejects.toThrow(/sealed with the key [0-9a-f]{16}/);
});

test("a backup made while the service works is a database that the service can go on with", { timeout: 90_000 }, async () => {
  const upstream = await simulatedUpstream();
  const receiver = await collectingReceiver();
  const environment = { ...upstream.environment("polyai-legacy"), ...fastPolling };
  const folder = await temporaryFolder();
  const database = { url: `sqlite:${join(folder, "ringback.db")}` };
  let service = await startService({ database, environment });
  let { client } = service;
  const sids = Array.from({ length: 200 }, () => upstream.trigger({ scenario: queuedForEver }));
  const register = (some: readonly string[]) =>
    client.post("/v1/watches/batch", {
      watches: some.map((call_sid) => ({ call_sid, callback_url: `${receiver.url}/crm`, signing_secret: signingSecret })),
    });
  await register(sids.slice(0, 100));
  const file = join(folder, "copy.db");
  const [backup] = await Promise.all([
    service.command<{ encryption_key: { origin: string } }>(["backup", file]),
    ...Array.from({ length: 10 }, (_, n) => register(sids.slice(100 + n * 10, 110 + n * 10))),
  ]);
  expect(backup.encryption_key.origin).toBe(join(folder, "encryption.key"));
  await service.stop();
  for (const name of await readdir(folder)) expect(name).not.toMatch(/^\.copy/);
  await copyFile(file, service.databasePath);
  service = await startService({ database, environment });
  ({ client } = service);
  const { body } = await client.get("/v1/watches?limit=200&status=active");
  const watched = (body["data"] as readonly { readonly call_sid: string }[]).map(({ call_sid }) => call_sid);
  expect(watched.length).toBeGreaterThanOrEqual(100);
  for (const sid of sids.slice(0, 100)) expect(watched).toContain(sid);
  for (const sid of watched) upstream.script(sid, { scenario: [{ atMs: 0, status: "success" }] });
  const ended = () =>
    new Set(
      receiver.deliveries
        .map((delivery) => bodyOf(delivery))
        .filter(({ type }) => type === "call.success")
        .map(({ data }) => data.call_sid),
    );
  await receiver.until(() => ended().size >= watched.length);
});

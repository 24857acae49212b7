import { randomBytes } from "node:crypto";
import { EventEmitter, once } from "node:events";
import { copyFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { startReceiver } from "../../src/cli/receiver/receiver.ts";
import type { Delivery } from "../../src/cli/receiver/receiver.ts";
import { AdministeredService, environmentKey, eventually } from "../harness/administered-service.ts";
import { signingSecret } from "../harness/service-process.ts";
import { simulatedUpstream } from "../harness/upstream/simulated-upstream.ts";

type Created = { readonly account_id: string; readonly key_id: string; readonly key: string };
type Listed = { readonly data: readonly { readonly name: string; readonly state: string }[] };

const statusOf = (answer: { readonly statusCode: number }) => answer.statusCode;
const queuedForEver = [{ atMs: 0, status: "queued" }];

async function collectingReceiver() {
  const arrivals = new EventEmitter();
  const deliveries: Delivery[] = [];
  const receiver = await startReceiver({
    secrets: [signingSecret],
    onDelivery: (delivery) => {
      deliveries.push(delivery);
      arrivals.emit("delivery");
    },
  });
  onTestFinished(() => receiver.close());
  const until = async (isDone: () => boolean): Promise<void> => {
    while (!isDone()) await once(arrivals, "delivery", { signal: AbortSignal.timeout(20_000) });
  };
  return { url: receiver.url, deliveries, until };
}

test("accounts and keys made and revoked beside a running service are noticed by it", { timeout: 60_000 }, async () => {
  const service = await AdministeredService.create();
  await service.start();
  const acme = await service.command<Created>(["account", "create", "acme"]);
  const client = service.client(acme.key);
  expect(
    (
      await eventually(
        () => client.get("/v1/me"),
        (answer) => answer.statusCode === 200,
      )
    ).body,
  ).toMatchObject({
    id: acme.account_id,
    name: "acme",
  });
  const second = await service.command<Created>(["key", "create", "acme"]);
  const successor = service.client(second.key);
  await eventually(
    () => successor.get("/v1/me"),
    (answer) => answer.statusCode === 200,
  );
  await service.command(["key", "revoke", acme.key_id]);
  await eventually(
    () => client.get("/v1/me"),
    (answer) => answer.statusCode === 401,
  );
  expect(statusOf(await successor.get("/v1/me"))).toBe(200);
  expect(statusOf(await service.client(environmentKey).get("/v1/me"))).toBe(200);
});

test("a service starts without RINGBACK_API_KEY when an account is there", { timeout: 60_000 }, async () => {
  const service = await AdministeredService.create({ RINGBACK_API_KEY: "" });
  await expect(service.start()).rejects.toThrow(/account create/);
  const { key } = await service.command<Created>(["account", "create", "acme"]);
  await service.start();
  expect(statusOf(await service.client(key).get("/v1/me"))).toBe(200);
  expect(statusOf(await service.client(environmentKey).get("/v1/me"))).toBe(401);
});

test("a source set beside a running service is used by whom it is for, and followed when it changes", { timeout: 60_000 }, async () => {
  // Setup: two upstreams with credentials of their own; neither is in the environment. Timeline: the source is set to the
  // first, a call is watched there, then the source is set to the second, which knows the same call further on.
  const [one, two] = [await simulatedUpstream({ authToken: "token-one" }), await simulatedUpstream({ authToken: "token-two" })];
  const receiver = await collectingReceiver();
  const service = await AdministeredService.create();
  await service.start();
  const [acme, beta] = [
    await service.command<Created>(["account", "create", "acme"]),
    await service.command<Created>(["account", "create", "beta"]),
  ];
  const [acmeClient, betaClient] = [service.client(acme.key), service.client(beta.key)];
  const callSid = one.trigger({ scenario: queuedForEver });
  const watch = { call_sid: callSid, source: "crm", callback_url: `${receiver.url}/crm`, signing_secret: signingSecret };
  const register = () => acmeClient.post("/v1/watches", watch);
  const refused = await register();
  expect(refused).toMatchObject({ statusCode: 422, body: { type: "urn:ringback:problem:no-source" } });

  const set = ["source", "set", "crm", "--account", "acme", "--credential-env", "TOKEN"];
  await service.command([...set, "--base-url", one.url], { TOKEN: "token-one" });
  await eventually(register, (answer) => answer.statusCode === 201);
  await receiver.until(() => receiver.deliveries.length === 1);

  expect(await betaClient.post("/v1/watches", watch)).toMatchObject({
    statusCode: 422,
    body: { type: "urn:ringback:problem:no-source", errors: [{ pointer: "/source" }] },
  });
  const namesFor = async (client: typeof acmeClient) => ((await client.get("/v1/sources")).body as Listed).data.map(({ name }) => name);
  expect(await namesFor(acmeClient)).toEqual(["sandbox", "crm"]);
  expect(await namesFor(betaClient)).toEqual(["sandbox"]);

  two.trigger({ scenario: [{ atMs: 0, status: "calling" }] }, callSid);
  await service.command([...set, "--base-url", two.url], { TOKEN: "token-two" });
  await receiver.until(() => receiver.deliveries.length === 2);
  const polls = one.pollCount(callSid);
  two.script(callSid, { scenario: [{ atMs: 0, status: "success" }] });
  await receiver.until(() => receiver.deliveries.length === 3);
  expect(one.pollCount(callSid)).toBe(polls);
  expect(receiver.deliveries.map(({ verification }) => verification.kind)).toEqual(["verified", "verified", "verified"]);
  expect(receiver.deliveries.map(({ body }) => (JSON.parse(body.toString()) as { type: string }).type)).toEqual([
    "call.queued",
    "call.calling",
    "call.success",
  ]);
  expect(service.output).not.toMatch(/token-(?:one|two)/);
});

test("a new credential ends a source's suspension, and its hooks are told", { timeout: 60_000 }, async () => {
  const upstream = await simulatedUpstream({ authToken: "right" });
  const receiver = await collectingReceiver();
  const service = await AdministeredService.create();
  await service.start();
  const { key } = await service.command<Created>(["account", "create", "acme"]);
  const client = service.client(key);
  await service.command(["source", "set", "crm", "--base-url", upstream.url, "--credential", "wrong"]);
  const callSid = upstream.trigger({ scenario: queuedForEver });
  await eventually(
    () => client.get("/v1/me"),
    (answer) => answer.statusCode === 200,
  );
  const hook = { url: `${receiver.url}/operations`, events: ["source.suspended", "source.resumed"], signing_secret: signingSecret };
  expect(statusOf(await client.post("/v1/hooks", hook))).toBe(201);
  const watch = { call_sid: callSid, source: "crm", callback_url: `${receiver.url}/calls`, signing_secret: signingSecret };
  await eventually(
    () => client.post("/v1/watches", watch),
    (answer) => answer.statusCode === 201,
  );
  const typesAt = (path: string) =>
    receiver.deliveries
      .filter((delivery) => delivery.path === path)
      .map(({ body }) => (JSON.parse(body.toString()) as { type: string }).type);
  await receiver.until(() => typesAt("/operations").length === 1);
  await service.command(["source", "set", "crm", "--credential", "right"]);
  await receiver.until(() => typesAt("/operations").length === 2 && typesAt("/calls").length === 1);
  expect(typesAt("/operations")).toEqual(["source.suspended", "source.resumed"]);
});

test("the encryption key is changed under a service that goes on delivering", { timeout: 90_000 }, async () => {
  // Timeline: the service runs with the old key, then with both, everything is sealed anew while webhooks go out, then it
  // runs with the new key alone. What this proves: nothing that was sealed is lost on the way, and no client notices.
  const [older, newer] = [randomBytes(32).toString("base64"), randomBytes(32).toString("base64")];
  const upstream = await simulatedUpstream({ authToken: "token" });
  const receiver = await collectingReceiver();
  const service = await AdministeredService.create({ RINGBACK_ENCRYPTION_KEY: older });
  await service.start();
  const { key } = await service.command<Created>(["account", "create", "acme"]);
  await service.command(["source", "set", "crm", "--base-url", upstream.url, "--credential", "token"]);
  const client = service.client(key);
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
    (answer) => answer.statusCode === 201,
  );
  await receiver.until(() => receiver.deliveries.length === 1);

  await expect(service.command(["reencrypt"], { RINGBACK_ENCRYPTION_KEY: `${newer},${older}` })).rejects.toThrow(
    /the running service does not have the key/,
  );
  expect(await service.stop()).toBe(0);
  await service.start({ RINGBACK_ENCRYPTION_KEY: `${newer},${older}` });
  const resealing = service.command<{ total: number; remaining_key_ids: string[] }>(["reencrypt"]);
  for (let n = 0; n < 20; n++) expect(statusOf(await client.post("/v1/watches", watch(`during-${n}`)))).toBe(201);
  expect(await resealing).toMatchObject({ remaining_key_ids: [] });
  await receiver.until(() => receiver.deliveries.length === 21);
  expect(await service.stop()).toBe(0);
  await service.start({ RINGBACK_ENCRYPTION_KEY: newer });
  upstream.script(callSid, { scenario: [{ atMs: 0, status: "success" }] });
  await receiver.until(() => receiver.deliveries.length >= 42);
  const last = receiver.deliveries.slice(21);
  expect(new Set(last.map(({ path }) => path)).size).toBe(21);
  for (const { verification, headers, path } of last) {
    expect(verification.kind).toBe("verified");
    expect(headers["x-gate"]).toBe(`open ${path.slice(1)}`);
  }
  expect(statusOf(await client.post("/v1/watches", watch("first")))).toBe(200);
  expect(await service.stop()).toBe(0);
  await expect(service.start({ RINGBACK_ENCRYPTION_KEY: older })).rejects.toThrow(/sealed with the key [0-9a-f]{16}/);
});

test("a backup made while the service works is a database the service goes on with", { timeout: 90_000 }, async () => {
  const upstream = await simulatedUpstream();
  const receiver = await collectingReceiver();
  const service = await AdministeredService.create(upstream.environment("polyai-legacy"));
  await service.start();
  const client = service.client(environmentKey);
  const sids = Array.from({ length: 200 }, () => upstream.trigger({ scenario: queuedForEver }));
  const register = (some: readonly string[]) =>
    client.post("/v1/watches/batch", {
      watches: some.map((call_sid) => ({ call_sid, callback_url: `${receiver.url}/crm`, signing_secret: signingSecret })),
    });
  await register(sids.slice(0, 100));
  const file = join(service.folder, "copy.db");
  const [backup] = await Promise.all([
    service.command<{ encryption_key: { origin: string } }>(["backup", file]),
    ...Array.from({ length: 10 }, (_, n) => register(sids.slice(100 + n * 10, 110 + n * 10))),
  ]);
  expect(backup.encryption_key.origin).toBe(join(service.folder, "encryption.key"));
  expect(await service.stop()).toBe(0);
  for (const name of await readdir(service.folder)) expect(name).not.toMatch(/^\.copy/);
  await copyFile(file, service.databasePath);
  await service.start();
  const { body } = await client.get("/v1/watches?limit=200&status=active");
  const watched = (body["data"] as readonly { readonly call_sid: string }[]).map(({ call_sid }) => call_sid);
  expect(watched.length).toBeGreaterThanOrEqual(100);
  for (const sid of sids.slice(0, 100)) expect(watched).toContain(sid);
  for (const sid of watched) upstream.script(sid, { scenario: [{ atMs: 0, status: "success" }] });
  const ended = () =>
    new Set(
      receiver.deliveries
        .map(({ body: text }) => JSON.parse(text.toString()) as { type: string; data: { call_sid: string } })
        .filter(({ type }) => type === "call.success")
        .map(({ data }) => data.call_sid),
    );
  await receiver.until(() => ended().size >= watched.length);
});

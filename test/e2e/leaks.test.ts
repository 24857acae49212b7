import { randomBytes } from "node:crypto";
import { readFile, readdir } from "node:fs/promises";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { dirname, join } from "node:path";
import { request } from "undici";
import { expect, onTestFinished, test } from "vitest";
import { startReceiver } from "../../src/cli/receiver/receiver.ts";
import { freePort } from "../../src/cli/demo/service-process.ts";
import { apiKey, fastPolling } from "../harness/service/environment.ts";
import { eventually } from "../harness/service/eventually.ts";
import { startService, temporaryFolder } from "../harness/service/service.ts";
import type { CreatedKey } from "../harness/service/service.ts";
import { simulatedUpstream } from "../harness/upstream/simulated-upstream.ts";

type Registered = { readonly id: string; readonly endpoint_id: string; readonly signing_secret: string | null };

const signingSecret = (name: string) => `whsec_${Buffer.from(`signing secret ${name} `.padEnd(30, "x")).toString("base64")}`;

/** Every way in which a secret might be stored. */
function spellings(secret: string): readonly Buffer[] {
  const bare = secret.replace(/^(?:whsec_|rb_)/, "");
  const decoded = secret.startsWith("whsec_") ? [Buffer.from(bare, "base64")] : [];
  return [
    Buffer.from(bare),
    Buffer.from(Buffer.from(secret).toString("base64").replace(/=+$/, "")),
    Buffer.from(bare, "utf16le"),
    ...decoded,
  ];
}

function found(haystack: Buffer, secrets: Readonly<Record<string, string>>): readonly string[] {
  return Object.entries(secrets)
    .filter(([, secret]) => spellings(secret).some((spelling) => haystack.includes(spelling)))
    .map(([name]) => name);
}

test("no secret lies in the clear on disk, in logs or in metrics, nor do these hold what clients send", { timeout: 120_000 }, async () => {
  // Setup: the service logs all it can. Timeline: everything that may hold a secret is made, used, refused, changed and
  // removed, and everything that can go wrong on the way out and in does. Then the files, logs and metrics are read.
  const encryptionKeys = [randomBytes(32).toString("base64"), randomBytes(32).toString("base64")];
  const upstream = await simulatedUpstream({ authToken: "upstream-token-of-environment" });
  const other = await simulatedUpstream({ authToken: "upstream-token-of-source" });
  const receiver = await startReceiver({
    answers: ({ path }) => (path.includes("broken") ? 500 : path.includes("gone") ? 410 : path.includes("reset") ? "reset" : 204),
  });
  onTestFinished(() => receiver.close());
  const metricsPort = await freePort();
  const service = await startService({
    as: "process",
    environment: {
      ...fastPolling,
      RINGBACK_ENCRYPTION_KEY: encryptionKeys.join(","),
      LOG_LEVEL: "trace",
      METRICS_PORT: String(metricsPort),
      RETRY_SCHEDULE: "0s,100ms,100ms",
      POLYAI_BASE_URL: upstream.url,
      POLYAI_AUTH_TOKEN: "upstream-token-of-environment",
    },
  });
  const acme = await service.createAccount("acme", "--default-source");
  const second = await service.command<CreatedKey>(["key", "create", "acme"]);
  await service.command(["source", "set", "crm", "--base-url", other.url, "--credential", "upstream-token-wrong"]);
  const { client } = acme;
  const sources = async () => JSON.stringify((await client.get("/v1/sources")).body);
  await eventually(sources, (listed) => listed.includes('"crm"'));
  await service.command(["source", "set", "crm", "--credential-env", "TOKEN"], { TOKEN: "upstream-token-of-source" });
  await eventually(async () => service.output.includes("source.changed"), Boolean);
  const secrets: Record<string, string> = {
    "environment key": apiKey,
    "first key": acme.key,
    "second key": second.key,
    "unknown key": "unknown-key-unknown-key-unknown",
    "credential of the environment": "upstream-token-of-environment",
    "credential that was replaced": "upstream-token-wrong",
    "credential of a source": "upstream-token-of-source",
    "own secret": signingSecret("own"),
    "default secret": signingSecret("default"),
    "rotated secret": signingSecret("rotated"),
    "hook's secret": signingSecret("hook"),
    "secret of a refused request": signingSecret("refused"),
    "header value": "header-value-one",
    "header value that was replaced": "header-value-two",
    "header value of a refused request": "header-value-refused",
    "first encryption key": encryptionKeys[0] ?? "",
    "second encryption key": encryptionKeys[1] ?? "",
  };
  const confidential: Record<string, string> = {
    metadata: "metadata-value",
    path: "confidential-path",
    query: "confidential-query",
    "own query": "own-query-value",
    body: "body-that-is-not-json",
    "upstream body": "upstream-body-text",
  };

  const sids: string[] = [];
  const register = async (place: string, given: Readonly<Record<string, unknown>> = {}): Promise<Registered> => {
    const callSid = (given["source"] === "crm" ? other : upstream).trigger({
      scenario: [
        { atMs: 0, status: "queued" },
        { atMs: 300, status: "success", reason: "upstream-reason" },
      ],
    });
    sids.push(callSid);
    const callbackUrl = `${receiver.url}/confidential-path/${place}?q=confidential-query`;
    const body = { call_sid: callSid, callback_url: callbackUrl, metadata: { lead: "metadata-value" }, ...given };
    const answer = await eventually(
      () => client.post("/v1/watches", body),
      ({ status }) => status !== 422,
    );
    expect({ place, status: answer.status }).toEqual({ place, status: 201 });
    const registered = answer.body as Registered;
    if (registered.signing_secret !== null) secrets[`generated for ${place}`] = registered.signing_secret;
    return registered;
  };
  upstream.fault({ kind: "status", statusCode: 500, body: "upstream-body-text", times: 2 });
  const hook = {
    url: `${receiver.url}/confidential-path/hook`,
    signing_secret: secrets["hook's secret"],
    headers: { "x-gate": "header-value-one" },
  };
  expect(
    (await client.post("/v1/hooks", { ...hook, events: ["call.*", "delivery.exhausted", "endpoint.disabled", "source.suspended"] })).status,
  ).toBe(201);
  const fine = await register("fine", { signing_secret: secrets["own secret"], headers: { authorization: "header-value-two" } });
  await register("generated");
  await register("broken");
  await register("gone");
  await register("reset");
  await register("elsewhere", { source: "crm" });
  await register("refused", { callback_url: "http://127.0.0.1:1/confidential-path?q=confidential-query" });
  await register("unknown", { callback_url: "http://no-such-host.example/confidential-path?q=confidential-query" }).catch(() => null);

  expect((await client.put("/v1/me/signing-secret", { signing_secret: secrets["default secret"] })).status).toBe(204);
  expect(
    (await client.patch(`/v1/endpoints/${fine.endpoint_id}`, { headers: { "x-gate": "header-value-one" }, signatures: ["v1", "v1a"] }))
      .status,
  ).toBe(200);
  const rotated = await client.post(`/v1/endpoints/${fine.endpoint_id}/rotate-secret`, {
    signing_secret: secrets["rotated secret"] ?? "",
  });
  expect(rotated.status).toBe(200);
  const made = await client.post(`/v1/endpoints/${fine.endpoint_id}/rotate-secret`, {});
  secrets["secret made by a rotation"] = String(made.body["signing_secret"]);
  await client.post(`/v1/endpoints/${fine.endpoint_id}/test`, {});
  await register("fine", { metadata: { lead: "metadata-value" } });
  // What is refused, in every way there is.
  const refused = {
    call_sid: "OUT-1",
    callback_url: "https://10.0.0.1/confidential-path?q=confidential-query",
    headers: { host: "header-value-refused" },
  };
  expect((await client.post("/v1/watches", { ...refused, signing_secret: secrets["secret of a refused request"] })).status).toBe(422);
  const conflict = { call_sid: sids[0] ?? "", callback_url: `${receiver.url}/confidential-path/fine?q=confidential-query` };
  expect((await client.post("/v1/watches", { ...conflict, headers: { "x-gate": "header-value-refused" } })).status).toBe(409);
  expect((await client.put("/v1/me/signing-secret", '{"signing_secret": body-that-is-not-json')).status).toBe(400);
  expect((await client.get("/v1/watches?own-query-value=own-query-value")).status).toBe(422);
  expect((await client.get("/v1/events?call_sid=OUT-own-query-value")).status).toBe(200);
  expect((await client.get("/unknown/confidential-path?q=own-query-value")).status).toBe(404);
  expect((await service.clientOf("unknown-key-unknown-key-unknown").get("/v1/me?q=own-query-value")).status).toBe(401);

  const deliveries = async () => (await client.get("/v1/deliveries?limit=200")).body["data"] as readonly { status: string }[];
  await eventually(deliveries, (all) => all.length > 15 && all.every(({ status }) => status !== "pending"));
  const metrics = await (await request(`http://127.0.0.1:${metricsPort}/metrics`)).body.text();
  const files = async () => {
    const names = await readdir(dirname(service.databasePath));
    return Promise.all(names.map(async (name) => [name, await readFile(join(dirname(service.databasePath), name))] as const));
  };
  const whileRunning = await files();
  await service.command(["key", "revoke", second.key_id]);
  expect(await service.stop()).toBe(0);
  await service.start({ RINGBACK_ENCRYPTION_KEY: encryptionKeys[0] ?? "", LOG_LEVEL: "debug" });
  await service.stop();

  const database = Buffer.concat(whileRunning.filter(([name]) => name.startsWith("ringback.db")).map(([, content]) => content));
  expect(whileRunning.map(([name]) => name)).toContain("ringback.db-wal");
  // What may lie there in the clear does: so the search finds what there is.
  expect(found(database, confidential)).toEqual(["metadata", "path", "query"]);
  for (const [name, content] of [...whileRunning, ...(await files())])
    expect({ name, secrets: found(content, secrets) }).toEqual({ name, secrets: [] });

  const logs = Buffer.from(service.output);
  const lines = ["service.started", "delivery.attempted", "http.answered", "source.added", "source.changed"].map(
    (line) => `"msg":"${line}"`,
  );
  expect([...lines, '"host":"127.0.0.1"'].filter((line) => !service.output.includes(line))).toEqual([]);
  expect({ secrets: found(logs, secrets), confidential: found(logs, confidential) }).toEqual({ secrets: [], confidential: [] });
  const scraped = Buffer.from(metrics);
  expect(metrics.includes('ringback_source_state{source="crm",state=')).toBe(true);
  expect({ secrets: found(scraped, secrets), confidential: found(scraped, confidential) }).toEqual({ secrets: [], confidential: [] });
  expect(/OUT-|https?:\/\/|\b(?:acc|wch|ep|evt|dlv|hk|key|src)_[0-9A-Z]\w*/.exec(metrics)?.[0] ?? null).toBeNull();
});

test("a header value that the receiver repeats is neither shown nor stored in the clear", async () => {
  const receiver = createServer(({ headers, method }, response) => response.end(JSON.stringify({ method, ...headers })));
  await once(receiver.listen(0, "127.0.0.1"), "listening");
  onTestFinished(() => void receiver.close());
  const folder = await temporaryFolder();
  const service = await startService({ database: { url: `sqlite:${join(folder, "ringback.db")}` } });
  const { port } = receiver.address() as AddressInfo;
  const secrets = { "header value": "header-value-one", "token of a gateway": "token-of-a-gateway" };
  const registered = await service.client.post("/v1/watches", {
    call_sid: "OUT-sandbox-slow-echo",
    source: "sandbox",
    callback_url: `http://127.0.0.1:${port}/`,
    headers: { "x-gate": "header-value-one", authorization: "Bearer token-of-a-gateway" },
  });
  expect(registered.status).toBe(201);
  const [delivery] = await eventually(
    () => service.client.list<{ id: string; status: string }>("/v1/deliveries"),
    ([newest]) => newest?.status === "delivered",
  );
  const { body } = await service.client.get(`/v1/deliveries/${delivery?.id}`);
  const [attempt] = body["attempts"] as readonly { readonly response_excerpt: string }[];
  expect(JSON.parse(attempt?.response_excerpt ?? "")).toMatchObject({
    method: "POST",
    "x-gate": "[header value]",
    authorization: "[header value]",
    "webhook-id": body["event_id"],
  });
  await service.stop();
  for (const name of await readdir(folder)) expect([name, found(await readFile(join(folder, name)), secrets)]).toEqual([name, []]);
});

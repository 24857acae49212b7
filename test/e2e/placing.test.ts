import { describe, expect, onTestFinished, test } from "vitest";
import { TestPostgres } from "../harness/postgres/postgres-database.ts";
import { collectingReceiver } from "../harness/receivers/collecting-receiver.ts";
import { faultsOf, problemOf } from "../harness/service/client.ts";
import type { Client, Json } from "../harness/service/client.ts";
import { encryptionKey, signingSecret } from "../harness/service/environment.ts";
import { eventually } from "../harness/service/eventually.ts";
import { startService, temporaryFolder } from "../harness/service/service.ts";
import type { DatabaseChoice } from "../harness/service/service.ts";
import { simulatedUpstream } from "../harness/upstream/simulated-upstream.ts";
import { answering, breakingOff, placing, resetting, triggerUpstream } from "../harness/upstream/trigger-upstream.ts";
import type { TriggerAnswer } from "../harness/upstream/trigger-upstream.ts";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";

const number = "+441234567890";
const callbackUrl = "https://crm.example.com/calls";

const place = (client: Client, key: string, body: Json = {}) =>
  client.post("/v1/calls", { call: { to_number: number }, callback_url: callbackUrl, ...body }, { "idempotency-key": key });

async function placingService(database: DatabaseChoice = "sqlite-memory", environment: Readonly<Record<string, string>> = {}) {
  const upstream = await triggerUpstream();
  const service = await startService({ database, environment: { ...upstream.environment, ...environment } });
  return { upstream, service, client: service.client };
}

const slugOf = (answer: { readonly body: Json }) => String(answer.body["type"]).replace("urn:ringback:problem:", "");

describe.each(["sqlite-file", "postgres"] as const)("a call of an upstream (%s)", (database) => {
  test("is placed by one request on a connection of its own, and a repeat dials nothing", async () => {
    const { upstream, client } = await placingService(database);
    const call = { to_number: number, country_code: "GB", metadata: { a: 1 } };
    const placed = await place(client, "k", { call });
    expect(placed).toMatchObject({ status: 201, body: { call_sid: "OUT-placed-1", source: "default", status: "active" } });
    expect((await place(client, "k", { call })).text).toBe(placed.text);
    const [trigger] = upstream.triggers;
    expect([trigger?.url, JSON.parse(trigger?.body ?? ""), trigger?.headers["x-polyai-auth-token"]]).toEqual([
      "/v1/outbound-calling",
      call,
      "token",
    ]);
    await place(client, "k2");
    expect([upstream.triggers.length, upstream.sockets.size]).toEqual([2, 2]);
  });

  const refusals: readonly (readonly [string, TriggerAnswer, number, string])[] = [
    ["400", answering(400, { error: "Invalid number", code: "BAD" }), 422, "call-refused"],
    ["404", answering(404, {}), 422, "call-refused"],
    ["401", answering(401, {}), 503, "source-refused"],
    ["429", answering(429, {}, { "retry-after": "7" }), 429, "upstream-rate-limited"],
  ];
  test.each(refusals)("is refused by a %s, which frees the key", async (_, answer, status, slug) => {
    const { upstream, client } = await placingService(database);
    upstream.answer(answer);
    const refused = await place(client, "k");
    expect([refused.status, slugOf(refused)]).toEqual([status, slug]);
    if (slug === "upstream-rate-limited") expect(refused.headers["retry-after"]).toBe("7");
    if (status === 422) expect(refused.body["upstream_status"]).toBeGreaterThanOrEqual(400);
    expect(await client.list("/v1/placings")).toEqual([]);
    upstream.answer(placing("OUT-again"));
    expect((await place(client, "k")).status).toBe(201);
    // A trigger's answer does not change the state of the source.
    expect(await client.list("/v1/sources")).toContainEqual(expect.objectContaining({ name: "default", reason: null }));
  });

  test("is refused without the credential of the source, which the upstream may repeat", async () => {
    const { upstream, client } = await placingService(database, { POLYAI_AUTH_TOKEN: "credential-of-the-operator" });
    upstream.answer((response, request) =>
      answering(403, { error: "forbidden", key: request.headers["x-polyai-auth-token"], type: request.headers["content-type"] })(
        response,
        request,
      ),
    );
    const refused = await place(client, "k");
    expect([refused.status, refused.body["detail"]]).toEqual([
      422,
      expect.stringContaining('{"error":"forbidden","key":"[header value]","type":"application/json"}'),
    ]);
    expect(refused.text).not.toContain("credential");
  });

  test("that waits for its turn when the service stops is a 503, nothing is kept, and the next start places it", async () => {
    const folder = await temporaryFolder();
    const postgres = database === "postgres" ? await TestPostgres.create() : null;
    if (postgres !== null) onTestFinished(() => postgres.dispose());
    const url = postgres?.url ?? `sqlite:${join(folder, "ringback.db")}`;
    const keyed = { POLYAI_MAX_POLLS_PER_SECOND: "0.01", RINGBACK_ENCRYPTION_KEY: encryptionKey };
    const { upstream, service, client } = await placingService({ url }, keyed);
    expect((await place(client, "first")).status).toBe(201);
    const waiting = [place(client, "second"), place(client, "third")];
    await eventually(
      () => client.list("/v1/placings?state=sending"),
      (sending) => sending.length === 2,
    );
    const [answers] = await Promise.all([Promise.all(waiting), service.stop()]);
    for (const answer of answers) {
      expect([answer.status, slugOf(answer), answer.headers["retry-after"]]).toEqual([503, "store-unavailable", "1"]);
      expect(answer.body["detail"]).toContain("is stopping");
    }
    expect(upstream.triggers).toHaveLength(1);
    const next = await startService({
      database: { url },
      environment: { ...upstream.environment, ...keyed, POLYAI_MAX_POLLS_PER_SECOND: "10" },
    });
    expect((await next.client.list("/v1/placings")).map((kept) => (kept as { idempotency_key: string }).idempotency_key)).toEqual([
      "first",
    ]);
    expect((await place(next.client, "second")).status).toBe(201);
    expect(upstream.triggers).toHaveLength(2);
  });

  const unknowns: readonly (readonly [string, TriggerAnswer])[] = [
    ["a 500", answering(500, {})],
    ["a 302", answering(302, {}, { location: "/elsewhere" })],
    ["a 408", answering(408, {})],
    ["no SID", answering(200, { ok: true })],
    ["a SID that is none", answering(200, { call_sid: "no SID" })],
    ["a reset", resetting],
  ];
  test.each(unknowns)("is unknown after %s: one dial, and a person resolves it", async (_, answer) => {
    const { upstream, client } = await placingService(database);
    const receiver = await collectingReceiver();
    await client.post("/v1/hooks", {
      url: `${receiver.url}/ops`,
      events: ["call.unknown"],
      format: "standard",
      signing_secret: signingSecret,
    });
    upstream.answer(answer);
    const metadata = { lead: "1" };
    const unknown = await place(client, "k", { metadata });
    expect([unknown.status, slugOf(unknown)]).toEqual([502, "call-unknown"]);
    upstream.answer(placing("OUT-second"));
    const again = await place(client, "k", { metadata });
    expect([again.status, again.body["placing_id"]]).toEqual([502, unknown.body["placing_id"]]);
    expect(upstream.triggers).toHaveLength(1);
    await receiver.until(() => receiver.deliveries.length === 1);
    expect(JSON.parse(String(receiver.deliveries[0]?.body))).toMatchObject({
      type: "call.unknown",
      data: { placing_id: unknown.body["placing_id"], source: "default", state: "unknown", metadata, idempotency_key: "k", watch_id: null },
    });
    const path = `/v1/placings/${String(unknown.body["placing_id"])}/resolve`;
    expect(faultsOf(await client.post(path, { call_sid: "no SID" }))).toEqual(["/call_sid"]);
    const keyed = { "idempotency-key": "resolve" };
    const resolved = await client.post(path, { call_sid: "OUT-found" }, keyed);
    const replayed = await client.post(path, { call_sid: "OUT-found" }, keyed);
    expect([replayed.text, replayed.headers["idempotency-replayed"]]).toEqual([resolved.text, "true"]);
    expect(slugOf(await client.post(path, { call_sid: null }, keyed))).toBe("idempotency-mismatch");
    expect(resolved).toMatchObject({ status: 200, body: { state: "resolved", call_sid: "OUT-found" } });
    expect(await place(client, "k", { metadata })).toMatchObject({
      status: 201,
      body: { id: resolved.body["watch_id"], call_sid: "OUT-found", metadata },
    });
    expect(slugOf(await client.post(path, { call_sid: null }))).toBe("placing-settled");
    expect(upstream.triggers).toHaveLength(1);
  });

  test("is settled by one of two people who find different SIDs at a time", async () => {
    const { upstream, client } = await placingService(database);
    upstream.answer(answering(500, {}));
    const unknown = await place(client, "k");
    const path = `/v1/placings/${String(unknown.body["placing_id"])}/resolve`;
    const answers = await Promise.all(["OUT-a", "OUT-b", "OUT-b", null].map((sid) => client.post(path, { call_sid: sid })));
    const [resolved, ...others] = answers.toSorted((a, b) => a.status - b.status);
    expect([resolved?.status, ...others.map(slugOf)]).toEqual([200, "placing-settled", "placing-settled", "placing-settled"]);
    expect(await client.list("/v1/placings")).toEqual([resolved?.body]);
  });

  test("is free again once a person says that nothing rang", async () => {
    const { upstream, client } = await placingService(database);
    upstream.answer(breakingOff);
    const dialled = place(client, "k");
    await eventually(
      async () => upstream.triggers.length,
      (count) => count === 1,
    );
    const running = await place(client, "k");
    expect([running.status, slugOf(running), running.headers["retry-after"]]).toEqual([409, "idempotency-in-progress", "1"]);
    await upstream.close();
    const unknown = await dialled;
    expect(unknown.status).toBe(502);
    const path = `/v1/placings/${String(unknown.body["placing_id"])}/resolve`;
    const keyed = { "idempotency-key": "resolve" };
    const resolved = await client.post(path, { call_sid: null }, keyed);
    expect(resolved).toMatchObject({ status: 200, body: { state: "resolved", call_sid: null, watch_id: null } });
    const replayed = await client.post(path, { call_sid: null }, keyed);
    expect([replayed.text, replayed.headers["idempotency-replayed"]]).toEqual([resolved.text, "true"]);
    const other = await client.post(path, { call_sid: null }, { "idempotency-key": "another" });
    expect(slugOf(other)).toBe("placing-settled");
    const otherReplayed = await client.post(path, { call_sid: null }, { "idempotency-key": "another" });
    expect([otherReplayed.status, otherReplayed.headers["idempotency-replayed"]]).toEqual([409, "true"]);
    // Nothing was dialled, and nothing is kept.
    const unreachable = await place(client, "k");
    expect([unreachable.status, slugOf(unreachable)]).toEqual([503, "upstream-unreachable"]);
    expect(await client.list("/v1/placings?state=sending")).toEqual([]);
  });

  test("is refused beyond the numbers of the account, counted in the store", async () => {
    const { upstream, service } = await placingService(database);
    const { client } = await service.createAccount(
      "acme",
      "--default-source",
      "--may-place",
      "--place-per-minute",
      "2",
      "--place-to",
      "+44,+1",
    );
    expect(faultsOf(await place(client, "k", { call: { to_number: "+33 1" } }))).toEqual(["/call/to_number"]);
    expect(faultsOf(await place(client, "k", { call: { to_number: number, country_code: "FR" } }))).toEqual(["/call/to_number"]);
    const answers = await Promise.all(
      ["a", "b", "c", "d"].map((key) => place(client, key, { call: { to_number: "+44 (0)20-7946.0000" } })),
    );
    expect(answers.map(({ status }) => status).toSorted()).toEqual([201, 201, 429, 429]);
    const limited = answers.find(({ status }) => status === 429);
    expect([slugOf(limited ?? answers[0] ?? { body: {} }), Number(limited?.headers["retry-after"]) > 50]).toEqual(["placing-limit", true]);
    expect(upstream.triggers).toHaveLength(2);
    // The sandbox is neither counted nor in need of leave.
    expect((await place(client, "e", { source: "sandbox", call: { scenario: "slow" } })).status).toBe(201);
  });
});

test("what can be refused is refused before the trigger", async () => {
  const { upstream, service } = await placingService("sqlite-file", { ACCOUNT_MAX_ACTIVE_WATCHES: "1" });
  const { client } = await service.createAccount("acme", "--default-source");
  expect(slugOf(await place(client, "k", { source: "none" }))).toBe("no-source");
  expect(faultsOf(await place(client, "k", { call: { to_number: number, other: 1 } }))).toEqual(["/call/other"]);
  expect(faultsOf(await place(client, "k", { call: {} }))).toEqual(["/call/to_number"]);
  expect(faultsOf(await place(client, "k", { call: { to_number: number, metadata: { a: "x".repeat(31_000) } } }))).toEqual(["/call"]);
  expect(slugOf(await place(client, "k", { callback_url: "https://10.0.0.1/" }))).toBe("blocked-address");
  // Faults come before the leave of the account, and so do quotas.
  expect(problemOf(await place(client, "k"))).toMatchObject({ status: 403, type: "urn:ringback:problem:may-not-place" });
  await client.post("/v1/watches", { call_sid: "OUT-sandbox-slow", source: "sandbox", callback_url: callbackUrl });
  expect(slugOf(await place(client, "k"))).toBe("quota-exceeded");
  expect(upstream.triggers).toEqual([]);
});

test("a suspended source places nothing", async () => {
  const simulator = await simulatedUpstream();
  simulator.fault({ kind: "status", statusCode: 401 });
  const { client } = await startService({ environment: { ...simulator.environment("polyai-legacy"), RINGBACK_MAY_PLACE: "true" } });
  await client.post("/v1/watches", { call_sid: simulator.trigger(), callback_url: callbackUrl });
  await eventually(
    () => client.list("/v1/sources"),
    (sources) => sources.some(({ state }) => state === "suspended"),
  );
  const refused = await place(client, "k");
  expect([refused.status, slugOf(refused), refused.headers["retry-after"]]).toEqual([503, "source-suspended", "5"]);
  expect(await client.list("/v1/placings")).toEqual([]);
});

test("PolyAI's agents and a json source have triggers of their own", async () => {
  const upstream = await triggerUpstream();
  upstream.answer(answering(200, { callSid: "OUT-agents-1" }));
  const agents = {
    POLYAI_KIND: "polyai-agents",
    POLYAI_API_KEY: "key",
    POLYAI_AGENT_ID: "agent:1",
    POLYAI_ENVIRONMENT: "live",
    POLYAI_AUTH_TOKEN: "",
  };
  const service = await startService({ database: "sqlite-file", environment: { ...upstream.environment, ...agents } });
  const { client } = service;
  expect(faultsOf(await place(client, "k", { call: { toNumber: number, environment: "sandbox" } }))).toEqual(["/call/environment"]);
  expect(await place(client, "k", { call: { toNumber: number, variantId: "v" } })).toMatchObject({
    status: 201,
    body: { call_sid: "OUT-agents-1" },
  });
  expect(upstream.triggers.map(({ url, body, headers }) => [url, JSON.parse(body), headers["x-api-key"]])).toEqual([
    ["/v1/agents/agent%3A1/telephony/outbound-calls", { toNumber: number, variantId: "v", environment: "live" }, "key"],
  ]);

  const definition = {
    url: `${upstream.url}/calls/{id}`,
    headers: { authorization: "Bearer secret" },
    status: "/status",
    map: { queued: "queued" },
    trigger: {
      url: `${upstream.url}/calls?now=1`,
      id: "/id",
      to: "/customer/number",
      allow: ["customer"],
      body: { agent: "a1", customer: { kind: "x" } },
    },
  };
  const file = join(await temporaryFolder(), "source.json");
  await writeFile(file, JSON.stringify(definition));
  await service.command(["source", "set", "vendor", "--file", file]);
  await writeFile(file, JSON.stringify({ ...definition, trigger: undefined }));
  await service.command(["source", "set", "silent", "--file", file]);
  await eventually(
    () => client.list<{ readonly name: string }>("/v1/sources"),
    (sources) => sources.length === 4,
    10_000,
  );
  expect(slugOf(await place(client, "j", { source: "silent" }))).toBe("cannot-place");
  expect(faultsOf(await place(client, "j", { source: "vendor", call: { agent: "mine" } }))).toEqual([
    "/call/agent",
    "/call/customer/number",
  ]);
  upstream.answer(answering(201, { id: 12345678901234567890n.toString() }));
  const placed = await place(client, "j", { source: "vendor", call: { customer: { number, kind: "mine" } } });
  expect(placed).toMatchObject({ status: 201, body: { call_sid: "12345678901234567890", source: "vendor" } });
  const last = upstream.triggers.at(-1);
  expect([last?.url, JSON.parse(last?.body ?? ""), last?.headers.authorization]).toEqual([
    "/calls?now=1",
    { customer: { number, kind: "x" }, agent: "a1" },
    "Bearer secret",
  ]);
});

import { once } from "node:events";
import { connect } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { FakeClock } from "../harness/fake-clock.ts";
import type { Answer, Client } from "../harness/service/client.ts";
import { startService } from "../harness/service/service.ts";

const source = { POLYAI_BASE_URL: "http://127.0.0.1:1", POLYAI_AUTH_TOKEN: "token" };
const quotaExceeded = { type: "urn:ringback:problem:quota-exceeded", status: 403 };

const watch = (client: Client, n: number | string, url = "http://127.0.0.1:9/hook"): Promise<Answer> =>
  client.send("POST", "/v1/watches", { call_sid: `OUT-${n}`, callback_url: url });

const hook = (client: Client, path: string): Promise<Answer> => client.send("POST", "/v1/hooks", { url: `http://127.0.0.1:9/${path}` });

/** The sources an account may use. */
async function namesFor(client: Client): Promise<readonly string[]> {
  const { body } = await client.send("GET", "/v1/sources");
  return (body as { data: { name: string }[] }).data.map(({ name }) => name);
}

/** Nothing is polled or sent, because the clock does not move. */
async function twoAccounts(environment: Readonly<Record<string, string>>) {
  const clock = new FakeClock();
  const service = await startService({ database: "sqlite-file", environment: { ...source, ...environment }, clock });
  const [acme, beta] = [await service.createAccount("acme", "--default-source"), await service.createAccount("beta", "--default-source")];
  return { clock, url: service.url, acme: acme.client, acmeKey: acme.key, beta: beta.client };
}

describe("the rate of an account", () => {
  test("is its own: an account above it gets 429 and Retry-After, other accounts are not affected", async () => {
    const { clock, acme, beta } = await twoAccounts({ API_MAX_PER_SECOND: "3" });
    const answers = [];
    for (let n = 0; n < 5; n++) answers.push(await acme.send("GET", "/v1/me"));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 429, 429]);
    expect(answers.map(({ headers }) => headers["ratelimit"])).toEqual([
      '"default";r=2;t=1',
      '"default";r=1;t=1',
      '"default";r=0;t=1',
      '"default";r=0;t=1',
      '"default";r=0;t=1',
    ]);
    for (const { headers } of answers) expect(headers["ratelimit-policy"]).toBe('"default";q=3;w=1');
    expect(answers.map(({ headers }) => headers["retry-after"])).toEqual([undefined, undefined, undefined, "1", "1"]);
    expect(answers[4]?.body).toMatchObject({ type: "urn:ringback:problem:rate-limited", status: 429 });
    expect((await beta.send("GET", "/v1/me")).status).toBe(200);
    await clock.advance(1000);
    for (let n = 0; n < 3; n++) expect((await acme.send("GET", "/v1/me")).status).toBe(200);
    expect((await acme.send("GET", "/v1/me")).status).toBe(429);
  });

  test("counts every request, refused ones too, and all keys of an account together", async () => {
    const { acme, acmeKey } = await twoAccounts({ API_MAX_PER_SECOND: "3" });
    const statuses = [
      (await acme.send("GET", "/v1/watches/wch_unknown")).status,
      (await acme.send("POST", "/v1/watches", { call_sid: 1 })).status,
      (await acme.send("GET", "/v1/me", undefined, { authorization: "", "x-api-key": acmeKey })).status,
      (await acme.send("GET", "/v1/me")).status,
    ];
    expect(statuses).toEqual([404, 422, 200, 429]);
  });
});

const batchOf = (count: number) => ({
  watches: Array.from({ length: count }, (_, n) => ({ call_sid: `OUT-${n}`, callback_url: null })),
});

describe("a batch in the rate of its account", () => {
  test("ten items count as one request, and what is missing delays later requests", async () => {
    const { clock, acme, beta } = await twoAccounts({ API_MAX_PER_SECOND: "3" });
    // 61 items are seven requests: four more than there are.
    expect((await acme.send("POST", "/v1/watches/batch", batchOf(61))).status).toBe(200);
    const refused = await acme.send("GET", "/v1/me");
    expect([refused.status, refused.headers["retry-after"]]).toEqual([429, "2"]);
    expect((await beta.send("GET", "/v1/me")).status).toBe(200);
    await clock.advance(1600);
    expect((await acme.send("GET", "/v1/me")).status).toBe(429);
    await clock.advance(400);
    expect((await acme.send("GET", "/v1/me")).status).toBe(200);
    await clock.advance(1000);
    const small = async () => (await acme.send("POST", "/v1/watches/batch", batchOf(10))).status;
    expect([await small(), await small(), await small(), await small()]).toEqual([200, 200, 200, 429]);
  });

  test("one whose account is in debt once its body has arrived is refused unparsed", async () => {
    const { url, acme, acmeKey } = await twoAccounts({ API_MAX_PER_SECOND: "3" });
    expect((await acme.send("GET", "/v1/me")).status).toBe(200);
    const { port } = new URL(url);
    const socket = connect(Number(port), "127.0.0.1");
    onTestFinished(() => void socket.destroy());
    await once(socket, "connect");
    const head = ["POST /v1/watches/batch HTTP/1.1", "Host: ringback", `X-API-Key: ${acmeKey}`, "Content-Type: application/json"];
    socket.write(`${[...head, "Expect: 100-continue", "Content-Length: 8"].join("\r\n")}\r\n\r\n`);
    // The service asks for the body once it reads it, so this batch has had its token.
    expect(String((await once(socket, "data"))[0])).toContain("100 Continue");
    expect((await acme.send("POST", "/v1/watches/batch", batchOf(100))).status).toBe(200);
    socket.write("not JSON");
    expect(String((await once(socket, "data"))[0])).toMatch(/^HTTP\/1\.1 429 .*retry-after: 4/is);
  });
});

describe("the quotas of an account", () => {
  test("active watches: one too many is 403, in a batch too, until one ends; a repeat is no new one", async () => {
    const { acme, beta } = await twoAccounts({ ACCOUNT_MAX_ACTIVE_WATCHES: "2" });
    const first = await watch(acme, 1);
    expect([first.status, (await watch(acme, 2)).status]).toEqual([201, 201]);
    expect(await watch(acme, 3)).toMatchObject({
      status: 403,
      body: { ...quotaExceeded, detail: expect.stringContaining("2 active watches") },
    });
    expect((await watch(acme, 1)).status).toBe(200);
    const batch = [3, 2, 4].map((n) => ({ call_sid: `OUT-${n}`, callback_url: "http://127.0.0.1:9/hook" }));
    expect((await acme.send("POST", "/v1/watches/batch", { watches: batch })).body).toMatchObject({
      results: [{ status: 403, problem: quotaExceeded }, { status: 200 }, { status: 403, problem: quotaExceeded }],
    });
    expect((await watch(beta, 3)).status).toBe(201);
    await acme.send("DELETE", `/v1/watches/${(first.body as { id: string }).id}`);
    expect((await watch(acme, 3)).status).toBe(201);
    expect((await watch(acme, 4)).status).toBe(403);
  });

  test("endpoints: one too many is 403 for watches and hooks; a known URL makes none", async () => {
    const { acme, beta } = await twoAccounts({ ACCOUNT_MAX_ENDPOINTS: "1" });
    expect((await watch(acme, 1, "http://127.0.0.1:9/one")).status).toBe(201);
    expect(await watch(acme, 2, "http://127.0.0.1:9/two")).toMatchObject({ status: 403, body: quotaExceeded });
    expect(await acme.send("POST", "/v1/hooks", { url: "http://127.0.0.1:9/two" })).toMatchObject({ status: 403, body: quotaExceeded });
    expect((await watch(acme, 2, "http://127.0.0.1:9/one")).status).toBe(201);
    expect((await acme.send("POST", "/v1/hooks", { url: "http://127.0.0.1:9/one" })).status).toBe(201);
    expect((await watch(beta, 1, "http://127.0.0.1:9/two")).status).toBe(201);
    expect((await acme.send("GET", "/v1/watches")).body).toMatchObject({ data: [{ call_sid: "OUT-2" }, { call_sid: "OUT-1" }] });
  });

  test("watches of one call: one too many is 403, in a batch too, until one is deleted; a repeat is no new one", async () => {
    const { acme, beta } = await twoAccounts({ ACCOUNT_MAX_WATCHES_PER_CALL: "2" });
    const first = await watch(acme, 1, "http://127.0.0.1:9/1");
    const batch = await acme.send("POST", "/v1/watches/batch", {
      watches: [2, 3].map((n) => ({ call_sid: "OUT-1", callback_url: `http://127.0.0.1:9/${n}` })),
    });
    expect(batch.body).toMatchObject({ results: [{ status: 201 }, { status: 403, problem: quotaExceeded }] });
    expect(await watch(acme, 1, "http://127.0.0.1:9/3")).toMatchObject({
      status: 403,
      body: { ...quotaExceeded, detail: "the account has reached its quota of 2 active watches on one call" },
    });
    expect((await watch(acme, 1, "http://127.0.0.1:9/1")).status).toBe(200);
    expect((await watch(acme, 2, "http://127.0.0.1:9/3")).status).toBe(201);
    expect((await watch(beta, 1, "http://127.0.0.1:9/3")).status).toBe(201);
    expect((await acme.send("DELETE", `/v1/watches/${(first.body as { id: string }).id}`)).status).toBe(204);
    expect((await watch(acme, 1, "http://127.0.0.1:9/3")).status).toBe(201);
  });

  test("hooks: one too many is 403 until one is removed; a repeat is no new one", async () => {
    const { acme, beta } = await twoAccounts({ ACCOUNT_MAX_HOOKS: "1" });
    const first = await hook(acme, "one");
    expect(first.status).toBe(201);
    expect(await hook(acme, "two")).toMatchObject({ status: 403, body: quotaExceeded });
    expect((await hook(acme, "one")).status).toBe(200);
    expect((await hook(beta, "two")).status).toBe(201);
    expect((await acme.send("DELETE", `/v1/hooks/${(first.body as { id: string }).id}`)).status).toBe(204);
    expect((await hook(acme, "two")).status).toBe(201);
  });

  test("0 is no limit, and GET /v1/me shows the limits", async () => {
    const none = {
      API_MAX_PER_SECOND: "0",
      ACCOUNT_MAX_ACTIVE_WATCHES: "0",
      ACCOUNT_MAX_WATCHES_PER_CALL: "0",
      ACCOUNT_MAX_ENDPOINTS: "0",
      ACCOUNT_MAX_HOOKS: "0",
      ACCOUNT_MAX_WAITING_REQUESTS: "0",
      ACCOUNT_MAX_STORED_ANSWERS_MIB: "0",
    };
    const { acme } = await twoAccounts(none);
    expect((await acme.send("GET", "/v1/me")).body).toMatchObject({
      limits: {
        api_max_per_second: 0,
        max_active_watches: 0,
        max_watches_per_call: 0,
        max_endpoints: 0,
        max_hooks: 0,
        manual_max_in_flight: 4,
        max_waiting_requests: 0,
        max_stored_answers_mib: 0,
      },
    });
    for (let n = 0; n < 10; n++) expect((await watch(acme, n, `http://127.0.0.1:9/${n}`)).status).toBe(201);
    expect((await acme.send("GET", "/v1/me")).headers["ratelimit"]).toBeUndefined();
  });
});

describe("a source", () => {
  test("is used by the accounts that it is for: default by those made for it, sandbox by all", async () => {
    const service = await startService({ database: "sqlite-file", environment: source, clock: new FakeClock() });
    const { client: acme } = await service.createAccount("acme", "--default-source");
    const { client: plain } = await service.createAccount("plain");
    expect([await namesFor(acme), await namesFor(plain)]).toEqual([["default", "sandbox"], ["sandbox"]]);
    expect((await watch(acme, 1, "http://127.0.0.1:9/")).status).toBe(201);
    expect(await watch(plain, 1, "http://127.0.0.1:9/")).toMatchObject({
      status: 422,
      body: { type: "urn:ringback:problem:no-source", errors: [{ pointer: "/source" }] },
    });
    const sandbox = { call_sid: "OUT-sandbox-success", source: "sandbox", callback_url: "http://127.0.0.1:9/" };
    for (const client of [acme, plain]) expect((await client.send("POST", "/v1/watches", sandbox)).status).toBe(201);
    expect((await plain.send("POST", "/v1/watches", { ...sandbox, call_sid: "OUT-1", source: "unheard-of" })).body).toMatchObject({
      type: "urn:ringback:problem:no-source",
    });
  });
});

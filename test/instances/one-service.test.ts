import { once } from "node:events";
import { createServer } from "node:http";
import type { ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as wait } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import type { Client } from "../harness/service/client.ts";
import type { Simulator } from "../../src/simulator/simulator.ts";
import { signingSecret } from "../harness/service/environment.ts";
import { eventually } from "../harness/service/eventually.ts";
import { shortLease, startInstance } from "./instance.ts";
import { bodyOf, collectingReceiver } from "../harness/receivers/collecting-receiver.ts";
import { ObservedUpstream } from "../harness/upstream/observed-upstream.ts";
import { TestPostgres } from "../harness/postgres/postgres-database.ts";
import { asAdministrator } from "../harness/postgres/postgres-server.ts";
import { simulatedUpstream } from "../harness/upstream/simulated-upstream.ts";

const queued = [{ atMs: 0, status: "queued" }];

type World = {
  readonly simulator: Simulator;
  readonly upstream: ObservedUpstream;
  readonly database: TestPostgres;
  readonly a: Client;
  readonly b: Client;
};

/** Two instances on one database. */
async function twoInstances(environment: Readonly<Record<string, string>> = {}): Promise<World> {
  const database = await TestPostgres.create();
  onTestFinished(() => database.dispose());
  const simulator = await simulatedUpstream();
  const upstream = new ObservedUpstream(simulator);
  const setup = { databaseUrl: database.url, environment };
  const a = await startInstance({ ...setup, upstreamUrl: await upstream.urlFor("a") });
  const b = await startInstance({ ...setup, upstreamUrl: await upstream.urlFor("b") });
  return { simulator, upstream, database, a: a.client, b: b.client };
}

async function register(client: Client, callSid: string, callbackUrl: string): Promise<string> {
  const answer = await client.post("/v1/watches", { call_sid: callSid, callback_url: callbackUrl, signing_secret: signingSecret });
  expect(answer.status).toBe(201);
  return String(answer.body["id"]);
}

const remove = async (client: Client, watchId: string) => (await client.delete(`/v1/watches/${watchId}`)).status;

const sourceOf = async (client: Client) => {
  const { body } = await client.get("/v1/sources");
  const source = (body["data"] as readonly { name: string; state: string; reason: string | null; since: string }[]).find(
    ({ name }) => name === "default",
  );
  return { state: source?.state, reason: source?.reason, since: source?.since };
};

test("every instance shows what one accepted, and a wait on one is answered by a commit of the other", async () => {
  const { simulator, a, b } = await twoInstances();
  const receiver = await collectingReceiver();
  const callSid = simulator.trigger({ scenario: queued });
  const watchId = await register(a, callSid, `${receiver.url}/x`);
  expect((await b.get(`/v1/watches/${watchId}`)).status).toBe(200);
  await receiver.until(() => receiver.deliveries.length === 1);
  const feed = await b.get("/v1/events");
  expect((feed.body["data"] as readonly unknown[]).length).toBe(1);

  const waiting = [
    b.get(`/v1/watches/${watchId}?wait=15&sequence=1`),
    b.get(`/v1/events?wait=15&after=${String(feed.body["next_cursor"])}`),
  ];
  await wait(300);
  const changedMs = performance.now();
  simulator.script(callSid, { scenario: [{ atMs: 0, status: "calling" }] });
  const [watch, events] = await Promise.all(waiting);
  expect(watch?.body).toMatchObject({ sequence: 2, call: { status: "calling" } });
  expect(events?.body["data"]).toMatchObject([{ type: "call.calling" }]);
  // Not by their own time running out.
  expect(performance.now() - changedMs).toBeLessThan(10_000);
});

test("without LISTEN the sweep answers a wait, also one whose watch is deleted on another instance", async () => {
  const { simulator, database, a, b } = await twoInstances();
  const receiver = await collectingReceiver();
  const deaf = () =>
    asAdministrator(database.url, "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'ringback listen'");
  const callSid = simulator.trigger({ scenario: queued });
  const watchId = await register(a, callSid, `${receiver.url}/x`);
  await receiver.until(() => receiver.deliveries.length === 1);
  const waiting = b.get(`/v1/watches/${watchId}?wait=15&sequence=1`);
  await wait(200);
  await deaf();
  simulator.script(callSid, { scenario: [{ atMs: 0, status: "calling" }] });
  expect((await waiting).body).toMatchObject({ sequence: 2 });

  const startedMs = performance.now();
  const deleted = b.get(`/v1/watches/${watchId}?wait=15&sequence=2`);
  await wait(200);
  await deaf();
  expect((await a.post(`/v1/watches/${watchId}`, {})).status).toBe(405);
  expect(await remove(a, watchId)).toBe(204);
  expect((await deleted).body).toMatchObject({ status: "canceled" });
  expect(performance.now() - startedMs).toBeLessThan(12_000);
});

test("a watch registered on one instance gets the events that another polls, and its removal there ends the polling", async () => {
  const { simulator, upstream, a, b } = await twoInstances();
  const receiver = await collectingReceiver();
  const callSid = simulator.trigger({ scenario: queued });
  const first = await register(a, callSid, `${receiver.url}/first`);
  await receiver.until(() => receiver.deliveries.length === 1);
  const second = await register(b, callSid, `${receiver.url}/second`);
  await receiver.until(() => receiver.deliveries.some(({ path }) => path === "/second"));
  simulator.script(callSid, { scenario: [{ atMs: 0, status: "calling" }] });
  await receiver.until(() => receiver.deliveries.length === 4);
  const received = receiver.deliveries
    .map((delivery) => `${delivery.path} ${bodyOf(delivery).data.sequence} ${bodyOf(delivery).type}`)
    .toSorted();
  expect(received).toEqual(["/first 1 call.queued", "/first 2 call.calling", "/second 1 call.queued", "/second 2 call.calling"]);
  expect(new Set(upstream.polls.map(({ instance }) => instance))).toEqual(new Set(["a"]));

  expect([await remove(b, first), await remove(b, second)]).toEqual([204, 204]);
  await wait(1500);
  const polls = upstream.polls.length;
  await wait(1500);
  expect(upstream.polls.length).toBe(polls);
});

test("a watch deleted on one instance starts no attempt on another after a second", async () => {
  // Setup: the endpoint answers slowly and takes four at a time, so a holds more that are leased to it.
  const { simulator, a, b } = await twoInstances();
  const receiver = await collectingReceiver(() => ({ statusCode: 204, delayMs: 2500 }));
  const sids = Array.from({ length: 12 }, () => simulator.trigger({ scenario: queued }));
  const watches = sids.map((callSid) => ({ call_sid: callSid, callback_url: `${receiver.url}/slow`, signing_secret: signingSecret }));
  const answer = await a.post("/v1/watches/batch", { watches });
  const ids = (answer.body["results"] as readonly { watch: { id: string } }[]).map(({ watch }) => watch.id);
  await receiver.until(() => receiver.deliveries.length === 4);
  for (const id of ids) expect(await remove(b, id)).toBe(204);
  await wait(1000);
  const before = receiver.deliveries.length;
  await wait(5000);
  expect(receiver.deliveries.length).toBe(before);
});

test.each(["", ", also if no notification arrives"])(
  "an endpoint changed on one instance is sent the new headers by the other after a second, also by what waited there%s",
  async (deaf) => {
    // Setup: the endpoint answers slowly and takes two at a time, so a holds more that are leased to it.
    const { simulator, database, a, b } = await twoInstances({ ENDPOINT_MAX_IN_FLIGHT: "2" });
    const receiver = await collectingReceiver(() => ({ statusCode: 204, delayMs: 800 }));
    const sids = Array.from({ length: 16 }, () => simulator.trigger({ scenario: queued }));
    const watches = sids.map((callSid) => ({ call_sid: callSid, callback_url: `${receiver.url}/slow`, signing_secret: signingSecret }));
    const answer = await a.post("/v1/watches/batch", { watches });
    const [first] = answer.body["results"] as readonly { watch: { endpoint_id: string } }[];
    await receiver.until(() => receiver.deliveries.length >= 2);
    if (deaf !== "")
      await asAdministrator(
        database.url,
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'ringback listen'",
      );
    const patched = await b.patch(`/v1/endpoints/${String(first?.watch.endpoint_id)}`, { headers: { "x-team": "crm" } });
    expect(patched.status).toBe(200);
    const changedMs = Date.now();
    await receiver.until(() => receiver.deliveries.length === 16);
    const late = receiver.deliveries.filter(({ receivedAtMs }) => receivedAtMs > changedMs + 1000);
    expect(late.length).toBeGreaterThan(2);
    expect(late.filter(({ headers }) => headers["x-team"] !== "crm")).toEqual([]);
  },
);

test("a source that refuses one instance is suspended for all, one probes, hooks are notified once, and all resume", async () => {
  const { simulator, upstream, a, b } = await twoInstances();
  const receiver = await collectingReceiver();
  await a.post("/v1/hooks", {
    url: `${receiver.url}/operations`,
    events: ["source.suspended", "source.resumed"],
    signing_secret: signingSecret,
  });
  const sids = Array.from({ length: 20 }, () => simulator.trigger({ scenario: queued }));
  await a.post("/v1/watches/batch", {
    watches: sids.map((callSid) => ({ call_sid: callSid, callback_url: `${receiver.url}/calls`, signing_secret: signingSecret })),
  });
  const ofCalls = () => receiver.deliveries.filter(({ path }) => path === "/calls").length;
  await receiver.until(() => ofCalls() === 20);
  await eventually(
    async () => new Set(upstream.polls.slice(-30).map(({ instance }) => instance)).size,
    (instances) => instances === 2,
  );

  simulator.fault({ kind: "status", statusCode: 401 });
  const suspended = await eventually(
    () => Promise.all([sourceOf(a), sourceOf(b)]),
    // Both may see the 401, each with a time of its own, before they agree.
    ([one, other]) => one.state === "suspended" && one.since === other.since,
  );
  expect(suspended[0]).toEqual(suspended[1]);
  await wait(500);
  const polls = upstream.polls.length;
  await wait(8000);
  // The first probe after five seconds, the next one ten seconds later.
  expect(upstream.polls.length - polls).toBe(1);

  simulator.clearFaults();
  await eventually(
    () => Promise.all([sourceOf(a), sourceOf(b)]),
    (both) => both.every(({ state }) => state === "ok"),
  );
  await eventually(
    async () => new Set(upstream.polls.slice(-30).map(({ instance }) => instance)).size,
    (instances) => instances === 2,
  );
  await receiver.until(() => receiver.typesAt("/operations").length >= 2);
  await wait(1000);
  expect(receiver.typesAt("/operations")).toEqual(["source.suspended", "source.resumed"]);
}, 60_000);

test("a 429 to one slows all: no instance polls before Retry-After has passed", async () => {
  const { simulator, upstream, a, b } = await twoInstances();
  const receiver = await collectingReceiver();
  const sids = Array.from({ length: 20 }, () => simulator.trigger({ scenario: queued }));
  await a.post("/v1/watches/batch", {
    watches: sids.map((callSid) => ({ call_sid: callSid, callback_url: `${receiver.url}/calls`, signing_secret: signingSecret })),
  });
  await eventually(
    async () => new Set(upstream.polls.slice(-30).map(({ instance }) => instance)).size,
    (instances) => instances === 2,
  );
  simulator.fault({ kind: "status", statusCode: 429, retryAfter: "4", times: 1 });
  await eventually(
    () => Promise.all([sourceOf(a), sourceOf(b)]),
    (both) => both.every(({ state }) => state === "slowed"),
  );
  await wait(300);
  const polls = upstream.polls.length;
  await wait(2500);
  expect(upstream.polls.length).toBe(polls);
  await eventually(
    async () => upstream.polls.length,
    (count) => count > polls + 20,
  );
});

test("manual attempts of all instances together stay within their limit, and the refusal names recover", async () => {
  const { a, b } = await twoInstances({ MANUAL_MAX_IN_FLIGHT: "3", ACCOUNT_MANUAL_MAX_IN_FLIGHT: "0" });
  const held: ServerResponse[] = [];
  let isHolding = false;
  const server = createServer((_request, response) => void (isHolding ? held.push(response) : response.end())).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const endpoints: string[] = [];
  for (let n = 0; n < 12; n++) {
    // No transition of this call is sent, so that the tests alone are held.
    const events = ["call.failure"];
    const watch = { call_sid: `OUT-sandbox-slow-${n}`, source: "sandbox", callback_url: `http://127.0.0.1:${port}/${n}`, events };
    endpoints.push(String((await a.post("/v1/watches", watch)).body["endpoint_id"]));
  }
  // Each has seen the other at a heartbeat.
  await wait(2 * shortLease.heartbeatMs);
  isHolding = true;
  const answers = endpoints.map((id, n) => (n % 2 === 0 ? a : b).post(`/v1/endpoints/${id}/test`));
  const refused = (await Promise.all(answers.map((answer) => Promise.race([answer, wait(2000).then(() => null)])))).filter(
    (answer) => answer !== null,
  );
  expect(held).toHaveLength(3);
  expect(refused.map(({ status }) => status)).toEqual(Array.from({ length: 9 }, () => 429));
  for (const { body } of refused) expect(body["detail"]).toContain("/recover");
  for (const response of held) response.end();
  expect((await Promise.all(answers)).filter(({ status }) => status === 200)).toHaveLength(3);
});

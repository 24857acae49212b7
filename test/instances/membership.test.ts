import { EventEmitter, once } from "node:events";
import { setTimeout as wait } from "node:timers/promises";
import { request } from "undici";
import { expect, onTestFinished, test } from "vitest";
import { systemClock } from "../../src/adapters/clock.ts";
import { startReceiver } from "../../src/cli/receiver/receiver.ts";
import { freePort } from "../../src/cli/demo/service-process.ts";
import { shortLease, startInstance } from "./instance.ts";
import { ObservedUpstream } from "../harness/upstream/observed-upstream.ts";
import { TestPostgres } from "../harness/postgres/postgres-database.ts";
import { simulatedUpstream } from "../harness/upstream/simulated-upstream.ts";
import { eventually } from "../harness/service/eventually.ts";

const queued = [{ atMs: 0, status: "queued" }];
const hourMs = 3_600_000;

async function instancesOf(port: number): Promise<number> {
  const { body } = await request(`http://127.0.0.1:${port}/metrics`);
  return Number(/^ringback_instances (\d+)$/m.exec(await body.text())?.[1]);
}

test("a newcomer is given its share of the calls and of the rate, and what it had goes on at once when it stops", async () => {
  const database = await TestPostgres.create();
  onTestFinished(() => database.dispose());
  const simulator = await simulatedUpstream();
  const upstream = new ObservedUpstream(simulator);
  const metricsPort = await freePort();
  const environment = { POLYAI_MAX_POLLS_PER_SECOND: "64", METRICS_PORT: String(metricsPort) };
  const a = await startInstance({ databaseUrl: database.url, upstreamUrl: await upstream.urlFor("a"), environment });
  await a.client.post("/v1/hooks", { url: "http://127.0.0.1:9/none", events: ["call.failure"] });
  const sids = Array.from({ length: 60 }, () => simulator.trigger({ scenario: queued }));
  await a.client.post("/v1/watches/batch", { watches: sids.map((callSid) => ({ call_sid: callSid })) });
  await eventually(
    async () => upstream.polls.length,
    (polls) => polls > 120,
  );
  expect(await instancesOf(metricsPort)).toBe(1);

  const b = await startInstance({
    databaseUrl: database.url,
    upstreamUrl: await upstream.urlFor("b"),
    environment: { POLYAI_MAX_POLLS_PER_SECOND: "64" },
  });
  const sharesOf = (polls: number) => {
    const last = new Map(upstream.polls.slice(-polls).map(({ callSid, instance }) => [callSid, instance]));
    return [...Map.groupBy(last.values(), (instance) => instance)].map(([instance, calls]) => [instance, calls.length] as const).toSorted();
  };
  await eventually(
    async () => sharesOf(150),
    (shares) => shares.length === 2 && shares.every(([, calls]) => calls >= 28),
  );
  expect(await instancesOf(metricsPort)).toBe(2);

  await b.stop();
  const stopped = upstream.polls.length;
  await eventually(
    async () => new Set(upstream.polls.slice(stopped).map(({ callSid }) => callSid)).size,
    (calls) => calls === 60,
  );
  expect(new Set(upstream.polls.slice(stopped + 5).map(({ instance }) => instance))).toEqual(new Set(["a"]));
  await eventually(
    () => instancesOf(metricsPort),
    (count) => count === 1,
  );
});

test("an even burst of registrations over three instances stays where it is", async () => {
  const database = await TestPostgres.create();
  onTestFinished(() => database.dispose());
  const simulator = await simulatedUpstream();
  const upstream = new ObservedUpstream(simulator);
  const instances = [];
  for (const name of ["a", "b", "c"])
    instances.push(await startInstance({ databaseUrl: database.url, upstreamUrl: await upstream.urlFor(name) }));
  await instances[0]?.client.post("/v1/hooks", { url: "http://127.0.0.1:9/none", events: ["call.failure"] });
  const sids = Array.from({ length: 105 }, () => simulator.trigger({ scenario: queued }));
  // In turn, as through a load balancer.
  for (const [index, callSid] of sids.entries()) await instances[index % 3]?.client.post("/v1/watches", { call_sid: callSid });
  // Each call is polled six times and more, for longer than two heartbeats.
  await eventually(
    async () => Math.min(...sids.map((callSid) => upstream.polls.filter((poll) => poll.callSid === callSid).length)),
    (polls) => polls >= 6,
    90_000,
  );
  const moved = sids.filter(
    (sid) => new Set(upstream.polls.filter(({ callSid }) => callSid === sid).map(({ instance }) => instance)).size > 1,
  );
  expect(moved).toEqual([]);
}, 120_000);

test("an instance whose clock is an hour ahead sends, dates and retries as the others do", async () => {
  // Setup: b's machine is an hour ahead. What this proves: due times, dates and leases go by the database's clock.
  const database = await TestPostgres.create();
  onTestFinished(() => database.dispose());
  const simulator = await simulatedUpstream();
  const arrivals = new EventEmitter();
  const times: { readonly path: string; readonly timestampMs: number; readonly signedAtMs: number }[] = [];
  const receiver = await startReceiver({
    answers: ({ attempt, path }) => (attempt === 1 || path === "/late" ? 500 : null),
    onDelivery: ({ path, body, headers }) => {
      const { timestamp } = JSON.parse(body.toString()) as { timestamp: string };
      times.push({ path, timestampMs: Date.parse(timestamp), signedAtMs: Number(headers["webhook-timestamp"]) * 1000 });
      arrivals.emit("delivery");
    },
  });
  onTestFinished(() => receiver.close());
  const setup = { databaseUrl: database.url, upstreamUrl: simulator.url, environment: { RETRY_SCHEDULE: "0s,1s,2h" } };
  const ahead = { ...systemClock, nowMs: () => Date.now() + hourMs };
  const b = await startInstance({ ...setup, overrides: { leaseTimes: shortLease, clock: ahead } });
  const a = await startInstance(setup);
  for (const [name, { client }] of Object.entries({ a, b, late: b })) {
    const callSid = simulator.trigger({ scenario: queued });
    const answer = await client.post("/v1/watches", { call_sid: callSid, callback_url: `${receiver.url}/${name}` });
    expect(Math.abs(Date.parse(String(answer.body["created_at"])) - Date.now())).toBeLessThan(60_000);
  }
  while (times.length < 6) await once(arrivals, "delivery", { signal: AbortSignal.timeout(15_000) });
  expect(times.map(({ path }) => path).toSorted()).toEqual(["/a", "/a", "/b", "/b", "/late", "/late"]);
  for (const { timestampMs, signedAtMs } of times) {
    expect(Math.abs(timestampMs - Date.now())).toBeLessThan(60_000);
    expect(Math.abs(signedAtMs - Date.now())).toBeLessThan(60_000);
  }
  // Nor does it take the difference for a clock that was set back, when it is there alone, and what waits for being late.
  await Promise.all([a.stop(), b.stop()]);
  const alone = await startInstance({ ...setup, overrides: { leaseTimes: shortLease, clock: ahead } });
  await wait(2500);
  const waiting = await alone.client.get("/v1/deliveries?status=pending");
  const [late] = waiting.body["data"] as readonly { readonly next_attempt_at: string }[];
  expect(Date.parse(late?.next_attempt_at ?? "") - Date.now()).toBeGreaterThan(1.9 * hourMs);
});

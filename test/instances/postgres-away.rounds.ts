import { setTimeout as wait } from "node:timers/promises";
import { expect, test } from "vitest";
import { ask, someWatch, unavailable } from "./asked-instance.ts";
import { auditCluster } from "./cluster-audit.ts";
import { shortLease } from "./instance.ts";
import { InstanceCluster } from "./instance-cluster.ts";
import { OwnPostgres } from "../harness/postgres/own-postgres.ts";
import { TcpProxy } from "../harness/postgres/tcp-proxy.ts";

const short = { leaseTimes: shortLease };
const pollsPerSecond = 100;
const environment = { DELIVERY_TIMEOUT_MS: "4000", SHUTDOWN_GRACE_MS: "5000" };

function scenarioOf(index: number) {
  const callingAtMs = 3000 + ((index * 7919) % 16_000);
  return [
    { atMs: 0, status: "queued" },
    { atMs: callingAtMs, status: "calling" },
    { atMs: callingAtMs + 6000, status: "success" },
  ];
}

test("Postgres stops for longer than a lease: 503 meanwhile, no process ends, and what was polled is sent afterwards", async () => {
  // Timeline: calls change state; the server is stopped at once, as by a crash, for twice a lease and started again.
  // What this proves: requests fail quickly; what was polled meanwhile is not forgotten; no instance loses what it owned,
  // because none could take it; attempts on the wire are recorded later or made again with the same id.
  const postgres = await OwnPostgres.start();
  const url = postgres.urlBy(postgres.port);
  const cluster = await InstanceCluster.start({
    databaseUrls: { a: url, b: url },
    twists: { a: short, b: short },
    environment,
    pollsPerSecond,
    receiverDelayMs: 200,
  });
  await cluster.watch(100, scenarioOf);
  await cluster.until(() => cluster.deliveries.length > 130, "calls begin");

  const a = cluster.instance("a");
  await cluster.fault([], async () => {
    await postgres.stopAtOnce();
    const polls = cluster.upstream.polls.length;
    await wait(shortLease.leaseMs);
    expect(cluster.upstream.polls.length).toBeGreaterThan(polls + 50);
    const answers = await Promise.all([
      ask(a, "/v1/watches", someWatch),
      ask(a, "/v1/watches?limit=1"),
      ask(a, "/readyz"),
      ask(a, "/healthz"),
    ]);
    expect(answers).toMatchObject([unavailable, unavailable, { status: 503 }, { status: 200 }]);
    for (const { waitedMs } of answers) expect(waitedMs).toBeLessThan(10_000);
    await wait(shortLease.leaseMs);
    await postgres.startAgain();
    await cluster.until(() => cluster.deliveries.length > 180, "everything resumes");
  });
  await cluster.until(() => cluster.endedCount === 100, "all calls end");
  expect(auditCluster({ ...cluster, polls: cluster.upstream.polls, pollsPerSecond })).toEqual([]);
  for (const instance of cluster.instances.values()) expect(instance.output).not.toContain("instance.fenced");
  expect((await ask(a, "/readyz")).status).toBe(200);
}, 180_000);

test("one instance is cut off from Postgres without noticing: others take over, and it is refused when it is back", async () => {
  // Timeline: the wire between c and the server stalls for twice a lease, then moves again.
  // What this proves: c begins nothing any more before its lease is over, its requests fail within 10 s, and it joins again.
  const postgres = await OwnPostgres.start();
  const wire = await TcpProxy.start({ host: "127.0.0.1", port: postgres.port });
  const cluster = await InstanceCluster.start({
    databaseUrls: { a: postgres.urlBy(postgres.port), b: postgres.urlBy(postgres.port), c: postgres.urlBy(wire.port) },
    twists: { a: short, b: short, c: short },
    environment,
    pollsPerSecond,
    receiverDelayMs: 200,
  });
  await cluster.watch(150, scenarioOf);
  await cluster.until(() => cluster.deliveries.length > 190, "calls begin");

  const c = cluster.instance("c");
  await cluster.fault(["c"], async () => {
    wire.stall();
    const stalledAtMs = Date.now();
    const answer = await ask(c, "/v1/watches", someWatch);
    expect(answer).toMatchObject(unavailable);
    expect(answer.waitedMs).toBeLessThan(10_000);
    await wait(2 * shortLease.leaseMs - (Date.now() - stalledAtMs));
    const late = cluster.upstream.polls.filter(
      ({ instance, startedAtMs }) => instance === "c" && startedAtMs > stalledAtMs + shortLease.leaseMs - shortLease.marginMs,
    );
    expect(late).toEqual([]);
    expect((await ask(c, "/healthz")).status).toBe(200);
    wire.mend();
    await cluster.until(() => cluster.endedCount >= 80, "others go on");
  });
  await cluster.until(() => cluster.endedCount === 150, "all calls end");
  expect(auditCluster({ ...cluster, polls: cluster.upstream.polls, pollsPerSecond })).toEqual([]);
  expect(c.output).toContain("instance.fenced");

  wire.stall();
  const stoppedAtMs = Date.now();
  expect(await c.stop()).toBe(0);
  // The store's own timeout is 8.5 s.
  expect(Date.now() - stoppedAtMs).toBeLessThan(8_000);
}, 180_000);

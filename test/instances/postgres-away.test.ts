import { setTimeout as wait } from "node:timers/promises";
import { expect, test } from "vitest";
import { OwnPostgres } from "../harness/postgres/own-postgres.ts";
import type { ProcessService } from "../harness/service/service.ts";
import { ask, someWatch, unavailable } from "./asked-instance.ts";
import { auditCluster } from "./cluster-audit.ts";
import { shortLease } from "./instance.ts";
import { InstanceCluster } from "./instance-cluster.ts";

const pollsPerSecond = 100;
/** Those of one batch, which is registered through a. */
const callCount = 20;

test("Postgres stops for longer than a lease: 503 meanwhile, starts wait for it, and what was polled is sent afterwards", async () => {
  // The short form of `postgres-away.rounds.ts`. Timeline: the server is stopped at once, as by a crash,
  // for longer than a lease. Meanwhile calls end, two more instances start, and one of them is asked to stop. The server starts again.
  // What this proves: requests fail quickly; what was polled meanwhile is not forgotten; an instance loses nothing that it
  // owned; a start waits for the server, says so, and obeys SIGTERM.
  const postgres = await OwnPostgres.start();
  const url = postgres.urlBy(postgres.port);
  const cluster = await InstanceCluster.prepare({
    databaseUrls: { a: url, late: url, stopped: url },
    twists: { a: { leaseTimes: shortLease } },
    environment: { DELIVERY_TIMEOUT_MS: "4000", SHUTDOWN_GRACE_MS: "5000" },
    pollsPerSecond,
    receiverDelayMs: 200,
  });
  const [a, late, stopped] = ["a", "late", "stopped"].map((name) => cluster.instance(name)) as [
    ProcessService,
    ProcessService,
    ProcessService,
  ];
  await a.start();
  await cluster.watch(callCount, () => [{ atMs: 0, status: "queued" }]);
  await cluster.until(() => cluster.deliveries.length >= callCount, "calls begin");
  let lateStart = Promise.resolve();
  await cluster.fault([], async () => {
    await postgres.stopAtOnce();
    const stoppedAtMs = performance.now();
    const polls = cluster.upstream.polls.length;
    cluster.end(0, callCount / 2);
    lateStart = late.start();
    for (const start of [lateStart, stopped.start()]) start.catch(() => undefined);
    await answering(late);
    expect(await ask(late, "/healthz")).toMatchObject({ status: 200 });
    expect(await ask(late, "/readyz")).toMatchObject({ status: 503, type: "urn:ringback:problem:not-ready" });
    expect(await ask(late, "/v1/watches", someWatch)).toMatchObject(unavailable);
    await answering(stopped);
    expect(await stopped.stop()).toBe(0);

    await wait(Math.max(0, shortLease.leaseMs + 1000 - (performance.now() - stoppedAtMs)));
    expect(cluster.upstream.polls.length).toBeGreaterThan(polls + 10);
    const answers = await Promise.all([
      ask(a, "/v1/watches", someWatch),
      ask(a, "/v1/watches?limit=1"),
      ask(a, "/readyz"),
      ask(a, "/healthz"),
    ]);
    expect(answers).toMatchObject([unavailable, unavailable, { status: 503 }, { status: 200 }]);
    for (const { waitedMs } of answers) expect(waitedMs).toBeLessThan(10_000);
    await postgres.startAgain();
    await cluster.until(() => cluster.endedCount >= callCount / 2, "what was polled meanwhile is sent");
  });
  cluster.end(callCount / 2, callCount);
  await cluster.until(() => cluster.endedCount === callCount, "all calls end");
  expect(auditCluster({ ...cluster, polls: cluster.upstream.polls, pollsPerSecond })).toEqual([]);
  expect(a.output).not.toContain("instance.fenced");
  expect((await ask(a, "/readyz")).status).toBe(200);
  await lateStart;
  expect((await ask(late, "/v1/sources")).status).toBe(200);
}, 180_000);

async function answering(instance: ProcessService): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if ((await instance.client.get("/healthz").catch(() => null)) !== null) return;
    await wait(50);
  }
  throw new Error(`${instance.url} does not answer`);
}

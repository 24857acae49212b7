import { setTimeout as wait } from "node:timers/promises";
import { expect, test } from "vitest";
import { auditCluster } from "./cluster-audit.ts";
import { shortLease } from "./instance.ts";
import { InstanceCluster } from "./instance-cluster.ts";
import { OwnPostgres } from "../harness/postgres/own-postgres.ts";

const short = { leaseTimes: shortLease };
const pollsPerSecond = 150;

/** Calls that go through their states spread over half a minute, the same ones in every run. */
function scenarioOf(index: number) {
  const callingAtMs = 1000 + ((index * 7919) % 12_000);
  return [
    { atMs: 0, status: "queued" },
    { atMs: callingAtMs, status: "calling" },
    { atMs: callingAtMs + 4000 + ((index * 104_729) % 14_000), status: "success" },
  ];
}

test("300 calls on three instances, of which one is killed, one stopped and one frozen past its lease, each to come back", async () => {
  // Setup: three processes on one database, calls that change state all the while. Timeline: c is killed and started
  // again; b is stopped and started again; a is frozen until others have taken over, and thawed.
  // What this proves: every event arrives, in order and without a gap; what comes twice left about when something was
  // done, with the same id; no call is polled by two at once; the source's rate holds in total.
  const postgres = await OwnPostgres.start();
  const url = postgres.urlBy(postgres.port);
  const cluster = await InstanceCluster.start({
    databaseUrls: { a: url, b: url, c: url },
    twists: { a: short, b: short, c: short },
    environment: { DELIVERY_TIMEOUT_MS: "4000" },
    pollsPerSecond,
    receiverDelayMs: 200,
  });
  await cluster.watch(300, scenarioOf);
  await cluster.until(() => cluster.endedCount >= 20, "the first calls end");

  await cluster.fault(["c"], () => cluster.instance("c").kill());
  await cluster.instance("c").start();
  await cluster.until(() => cluster.endedCount >= 90, "calls end after a kill");

  expect(await cluster.instance("b").stop()).toBe(0);
  await cluster.instance("b").start();
  await cluster.until(() => cluster.endedCount >= 160, "calls end after a stop");

  await cluster.fault(["a"], async () => {
    cluster.instance("a").signal("SIGSTOP");
    await wait(shortLease.leaseMs + 4000);
    cluster.instance("a").signal("SIGCONT");
    await wait(2000);
  });
  await cluster.until(() => cluster.endedCount === 300, "all calls end");
  expect(auditCluster({ ...cluster, polls: cluster.upstream.polls, pollsPerSecond })).toEqual([]);
  expect(cluster.instance("a").output).toContain("instance.fenced");
  for (const name of ["a", "b", "c"])
    expect(cluster.upstream.polls.filter(({ instance }) => instance === name).length).toBeGreaterThan(100);
}, 180_000);

import { expect, onTestFinished, test } from "vitest";
import { TestPostgres } from "../harness/postgres/postgres-database.ts";
import { eventually } from "../harness/service/eventually.ts";
import { auditCluster } from "./cluster-audit.ts";
import { shortLease } from "./instance.ts";
import { InstanceCluster } from "./instance-cluster.ts";

const short = { leaseTimes: shortLease };
const pollsPerSecond = 60;
const callCount = 60;

test("60 calls on two instances, of which one is killed and one frozen past its lease, each to come back", async () => {
  // The short form of `faults.rounds.ts`. Setup: two processes on one database. Timeline: calls end; b is killed and started
  // again, and more end; a is frozen, and the rest end, which b has to take over; a is thawed.
  // What this proves: every event arrives, in order and without a gap; what comes twice left about when something was
  // done, with the same id; no call is polled by two at once; the source's rate holds in total.
  const database = await TestPostgres.create();
  onTestFinished(() => database.dispose());
  const cluster = await InstanceCluster.start({
    databaseUrls: { a: database.url, b: database.url },
    twists: { a: short, b: short },
    environment: { DELIVERY_TIMEOUT_MS: "4000" },
    pollsPerSecond,
    receiverDelayMs: 200,
  });
  await cluster.watch(callCount, () => [{ atMs: 0, status: "queued" }]);
  await cluster.until(() => cluster.deliveries.length >= callCount, "calls begin");
  const pollsOf = (name: string) => cluster.upstream.polls.filter(({ instance }) => instance === name).length;
  expect([pollsOf("a"), pollsOf("b")].map((polls) => polls > 0)).toEqual([true, true]);

  cluster.end(0, 20);
  await cluster.until(() => cluster.endedCount >= 5, "the first calls end");
  await cluster.fault(["b"], () => cluster.instance("b").kill());
  cluster.end(20, 40);
  await cluster.instance("b").start();
  await cluster.until(() => cluster.endedCount >= 40, "calls end after a kill");
  const polledByB = pollsOf("b");
  await eventually(
    () => Promise.resolve(pollsOf("b")),
    (polls) => polls > polledByB,
  );

  const a = cluster.instance("a");
  await cluster.fault(["a"], async () => {
    a.signal("SIGSTOP");
    cluster.end(40, callCount);
    await cluster.until(() => cluster.endedCount === callCount, "b takes over what a had");
    a.signal("SIGCONT");
    await eventually(
      () => Promise.resolve(a.output),
      (output) => output.includes("instance.fenced"),
    );
  });
  expect(auditCluster({ ...cluster, polls: cluster.upstream.polls, pollsPerSecond })).toEqual([]);
}, 180_000);

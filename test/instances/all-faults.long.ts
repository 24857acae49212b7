import { setTimeout as wait } from "node:timers/promises";
import { expect, test } from "vitest";
import { auditCluster } from "./cluster-audit.ts";
import { InstanceCluster } from "./instance-cluster.ts";
import { OwnPostgres } from "../harness/postgres/own-postgres.ts";
import { TcpProxy } from "../harness/postgres/tcp-proxy.ts";

const calls = 1000;
const pollsPerSecond = 200;
/** Longer than a lease. */
const longMs = 35_000;
const hourMs = 3_600_000;

/** Calls that go through their states spread over six minutes, the same ones in every run. */
function scenarioOf(index: number) {
  const callingAtMs = 2000 + ((index * 7919) % 280_000);
  return [
    { atMs: 0, status: "queued" },
    { atMs: callingAtMs, status: "calling" },
    { atMs: callingAtMs + 15_000 + ((index * 104_729) % 60_000), status: "success" },
  ];
}

test("1,000 calls on three instances through every fault, with the leases of every day", async () => {
  // Setup: three processes, one with a clock that is an hour ahead, two of them behind wires that can stall; a receiver
  // that takes its time and refuses one webhook of thirty. What this proves: see the audit.
  const postgres = await OwnPostgres.start();
  const wires = {
    b: await TcpProxy.start({ host: "127.0.0.1", port: postgres.port }),
    c: await TcpProxy.start({ host: "127.0.0.1", port: postgres.port }),
  };
  const cluster = await InstanceCluster.start({
    databaseUrls: { a: postgres.urlBy(postgres.port), b: postgres.urlBy(wires.b.port), c: postgres.urlBy(wires.c.port) },
    twists: { b: { clockOffMs: hourMs } },
    environment: { POLL_INTERVAL_MIN_MS: "2000", RETRY_SCHEDULE: "0s,1s,2s,4s,8s,16s,32s" },
    pollsPerSecond,
    receiverDelayMs: 150,
    refusesOneOf: 30,
  });
  const [a, b, c] = ["a", "b", "c"].map((name) => cluster.instance(name)) as [Process, Process, Process];
  const say = (what: string) => void process.stdout.write(`${new Date().toISOString()} ${what}: ${cluster.progress()}\n`);
  await cluster.watch(calls, scenarioOf);
  say("watched");
  await wait(15_000);

  await cluster.fault(["a"], () => a.kill());
  await a.start();
  say("a killed and started");
  await wait(longMs);

  expect(await b.stop()).toBe(0);
  await b.start();
  say("b stopped and started");
  await wait(10_000);

  await cluster.fault(["c"], async () => {
    c.signal("SIGSTOP");
    await wait(longMs + 5000);
    c.signal("SIGCONT");
    await wait(5000);
  });
  say("c stood still and woke");

  await cluster.fault([], async () => {
    await postgres.stop();
    await wait(2000);
    await postgres.startAgain();
    await wait(5000);
  });
  say("the server was restarted");
  await wait(15_000);

  await cluster.fault(["b"], async () => {
    wires.b.stall();
    await wait(longMs + 5000);
    wires.b.mend();
    await wait(5000);
  });
  say("the wire of b stalled");

  await cluster.fault([], async () => {
    wires.b.cut();
    wires.c.cut();
    await wait(3000);
    wires.b.mend();
    wires.c.mend();
    await wait(3000);
  });
  say("the wires of b and c broke");

  await cluster.fault(["b", "c"], async () => {
    await Promise.all([b.kill(), c.kill()]);
  });
  await wait(longMs);
  say("b and c killed");
  await Promise.all([b.start(), c.start()]);

  await cluster.fault([], async () => {
    await postgres.stop();
    await wait(longMs);
    await postgres.startAgain();
    await wait(10_000);
  });
  say("the server was away for longer than a lease");

  await cluster.until(() => cluster.endedCount === calls, "all calls end");
  say("all ended");
  expect(auditCluster({ ...cluster, polls: cluster.upstream.polls, pollsPerSecond })).toEqual([]);
  const byInstance = Map.groupBy(cluster.upstream.polls, ({ instance }) => instance);
  for (const name of ["a", "b", "c"]) expect(byInstance.get(name)?.length).toBeGreaterThan(1000);
}, 900_000);

type Process = ReturnType<InstanceCluster["instance"]>;

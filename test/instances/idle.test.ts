import { setTimeout as wait } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { startInstance } from "./instance.ts";
import { eventually } from "../harness/service/eventually.ts";
import { TestPostgres } from "../harness/postgres/postgres-database.ts";
import { simulatedUpstream } from "../harness/upstream/simulated-upstream.ts";
import { StatementCount } from "../harness/postgres/statement-count.ts";
import { TcpProxy } from "../harness/postgres/tcp-proxy.ts";

test("an idle instance asks Postgres less than twice a second, with calls that do not change and others beside it", async () => {
  const database = await TestPostgres.create();
  onTestFinished(() => database.dispose());
  const simulator = await simulatedUpstream();
  const { hostname, port, pathname, username, password } = new URL(database.url);
  const counts: StatementCount[] = [];
  const instances = [];
  for (let index = 0; index < 3; index++) {
    const count = new StatementCount();
    const wire = await TcpProxy.start({ host: hostname, port: Number(port) });
    wire.tap = count.tap;
    counts.push(count);
    const databaseUrl = `postgres://${username}:${password}@127.0.0.1:${wire.port}${pathname}`;
    // The lease of every day: it is what the heartbeats cost.
    instances.push(await startInstance({ databaseUrl, upstreamUrl: simulator.url, overrides: {} }));
  }
  const [first] = instances;
  await first?.client.post("/v1/hooks", { url: "http://127.0.0.1:9/none", events: ["call.failure"] });
  const watches = Array.from({ length: 30 }, () => ({ call_sid: simulator.trigger({ scenario: [{ atMs: 0, status: "queued" }] }) }));
  await first?.client.post("/v1/watches/batch", { watches });
  const ratesOver = async (spanMs: number) => {
    for (const { byText } of counts) byText.clear();
    await wait(spanMs);
    return counts.map(({ total }) => total / (spanMs / 1000));
  };
  // Until the calls are shared out: a call that moves costs a few statements, and a loaded machine moves them later.
  await eventually(
    () => ratesOver(12_000),
    (rates) => rates.every((perSecond) => perSecond < 2),
    100_000,
  );
  for (const perSecond of await ratesOver(4000)) expect(perSecond).toBeGreaterThan(0.25);
}, 150_000);

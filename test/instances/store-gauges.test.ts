import { expect, onTestFinished, test } from "vitest";
import { freePort } from "../../src/cli/demo/service-process.ts";
import { eventually } from "../harness/service/eventually.ts";
import { startInstance } from "./instance.ts";
import { scrape, valueOf } from "../harness/service/metrics-scrape.ts";
import { TestPostgres } from "../harness/postgres/postgres-database.ts";
import { simulatedUpstream } from "../harness/upstream/simulated-upstream.ts";
import { TcpProxy } from "../harness/postgres/tcp-proxy.ts";

const counted = [
  "ringback_watches",
  "ringback_deliveries",
  "ringback_endpoints",
  "ringback_oldest_due_delivery_seconds",
  "ringback_store_bytes",
  "ringback_instances",
];

test("while Postgres is away a scrape says so and has nothing that was counted there; everything else stays", async () => {
  const database = await TestPostgres.create();
  onTestFinished(() => database.dispose());
  const url = new URL(database.url);
  const wire = await TcpProxy.start({ host: url.hostname, port: Number(url.port) });
  url.port = String(wire.port);
  const metricsPort = await freePort();
  const { url: upstreamUrl } = await simulatedUpstream();
  await startInstance({ databaseUrl: url.href, upstreamUrl, environment: { METRICS_PORT: String(metricsPort) } });
  const scrapeUntil = (reachable: number) =>
    eventually(
      () => scrape(metricsPort),
      (samples) => valueOf(samples, "ringback_store_reachable") === reachable,
    );
  const namesOf = (samples: Awaited<ReturnType<typeof scrape>>) => counted.filter((name) => valueOf(samples, name) !== undefined);

  expect(namesOf(await scrapeUntil(1))).toEqual(counted);
  wire.cut();
  const away = await scrapeUntil(0);
  expect(namesOf(away)).toEqual([]);
  expect(valueOf(away, "ringback_oldest_due_poll_seconds")).toBe(0);
  wire.mend();
  expect(namesOf(await scrapeUntil(1))).toEqual(counted);
}, 60_000);

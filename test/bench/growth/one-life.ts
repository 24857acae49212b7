import { setTimeout } from "node:timers/promises";
import { benchService } from "../bench-service.ts";
import type { Child } from "../child.ts";
import { percentile } from "../figure.ts";
import { cpuSeconds, residentBytes } from "../machine/processor-time.ts";

const startLimitMs = 180_000;

export type GrowthLoad = {
  readonly pollsPerSecond: number;
  readonly settleMs: number;
  readonly measureMs: number;
};

/** A service on a database that was filled before, with the ends that the database names. */
export type Grown = { readonly databaseUrl: string; readonly calls: number; readonly upstream: Child; readonly sink: Child };

export type GrowthLife = {
  readonly readySeconds: number;
  readonly residentBytes: number;
  /** With a tenth of a webhook. */
  readonly cpuMsPerPoll: number;
  readonly pollsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
};

/** Starts the service on a filled database and measures it at a rate of polls that does not depend on the number of calls. */
export async function measureGrown({ databaseUrl, calls, upstream, sink }: Grown, load: GrowthLoad): Promise<GrowthLife> {
  const intervalMs = String(Math.max(10, Math.round((calls / load.pollsPerSecond) * 1000)));
  await using service = await benchService({
    DATABASE_URL: databaseUrl,
    POLYAI_BASE_URL: `http://127.0.0.1:${upstream.port}/moving`,
    POLYAI_MAX_POLLS_PER_SECOND: String(load.pollsPerSecond),
    POLL_INTERVAL_MIN_MS: intervalMs,
    POLL_INTERVAL_MAX_MS: intervalMs,
  });
  const startedMs = performance.now();
  await service.start(AbortSignal.timeout(startLimitMs));
  const readySeconds = (performance.now() - startedMs) / 1000;
  await setTimeout(load.settleMs);
  await sink.ask("latencies");
  const [measuredFromMs, cpuBefore, pollsBefore] = [
    performance.now(),
    await cpuSeconds(service.pid),
    (await upstream.ask("polls")) as number,
  ];
  await setTimeout(load.measureMs);
  const [seconds, cpuAfter, pollsAfter] = [
    (performance.now() - measuredFromMs) / 1000,
    await cpuSeconds(service.pid),
    (await upstream.ask("polls")) as number,
  ];
  const latenciesMs = (await sink.ask("latencies")) as number[];
  return {
    readySeconds,
    residentBytes: await residentBytes(service.pid),
    cpuMsPerPoll: ((cpuAfter - cpuBefore) / (pollsAfter - pollsBefore)) * 1000,
    pollsPerSecond: (pollsAfter - pollsBefore) / seconds,
    p50Ms: percentile(latenciesMs, 0.5),
    p99Ms: percentile(latenciesMs, 0.99),
  };
}

import { setTimeout } from "node:timers/promises";
import { benchDatabase, benchService } from "../bench-service.ts";
import { startChild } from "../child.ts";
import type { Child } from "../child.ts";
import { percentile } from "../figure.ts";
import type { Figure } from "../figure.ts";
import { cpuSeconds } from "../machine/processor-time.ts";
import { watchBatch } from "../watch-batch.ts";

const pollsPerSecond = 3000;
const batchSize = 1000;
/** Of the polls; what the upstream does. */
const transitionShare = 0.1;
const minIntervalMs = 2000;

/**
 * The running service with calls polled every 2 to 5 s, a tenth of the polls a transition with one webhook. It is
 * measured once the webhooks of the first polls, all calls at once, are out: `warmUpMs` at most.
 */
export async function measureWatchedCalls(calls: number, warmUpMs: number, measureMs: number): Promise<readonly Figure[]> {
  await using database = await benchDatabase();
  await using upstream = await startChild("./upstream.ts");
  await using sink = await startChild("./sink.ts");
  await using service = await benchService({
    DATABASE_URL: database.url,
    POLYAI_BASE_URL: `http://127.0.0.1:${upstream.port}/moving`,
    POLYAI_MAX_POLLS_PER_SECOND: String(pollsPerSecond),
  });
  await service.start(AbortSignal.timeout(30_000));
  for (let from = 0; from < calls; from += batchSize)
    await watchBatch(service.url, { from, size: Math.min(batchSize, calls - from), sinkPort: sink.port });
  await untilDrained(sink, calls, warmUpMs);
  const before = await cpuSeconds(service.pid);
  await setTimeout(measureMs);
  const cpuShare = ((await cpuSeconds(service.pid)) - before) / (measureMs / 1000);
  const latenciesMs = (await sink.ask("latencies")) as number[];
  return figuresOf(calls, cpuShare, latenciesMs, measureMs);
}

function figuresOf(calls: number, cpuShare: number, latenciesMs: readonly number[], measureMs: number): readonly Figure[] {
  const [p50, p99] = [percentile(latenciesMs, 0.5), percentile(latenciesMs, 0.99)];
  const perSecond = latenciesMs.length / (measureMs / 1000);
  const intervalMs = Math.max(minIntervalMs, (calls / pollsPerSecond) * 1000);
  const intendedPerSecond = (calls / intervalMs) * 1000 * transitionShare;
  // What is not done costs nothing.
  const isAtLoad = perSecond >= 0.9 * intendedPerSecond;
  return [
    {
      name: `CPU of the service at ${calls} calls, each polled every ${(intervalMs / 1000).toFixed(1)} s`,
      value: cpuShare,
      shown: `${(cpuShare * 100).toFixed(1)} % of one core, at ${Math.round(perSecond)} of ${Math.round(intendedPerSecond)} webhooks/s`,
      bar: "<= 25 %",
      met: cpuShare <= 0.25 && isAtLoad,
    },
    {
      name: "transition seen to first byte at the receiver, at that load",
      value: p50,
      shown: `p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms (${latenciesMs.length} webhooks)`,
      bar: "p50 <= 3 ms, p99 <= 20 ms",
      met: p50 <= 3 && p99 <= 20 && isAtLoad,
    },
  ];
}

/** Every call has had its first webhook, and those that come now are not late. */
async function untilDrained(sink: Child, calls: number, limitMs: number): Promise<void> {
  const endMs = performance.now() + limitMs;
  for (let arrived = 0; performance.now() < endMs;) {
    await setTimeout(1000);
    const latenciesMs = (await sink.ask("latencies")) as number[];
    arrived += latenciesMs.length;
    if (arrived >= calls && percentile(latenciesMs, 0.5) < 100) return;
  }
}

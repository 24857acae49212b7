import { setTimeout } from "node:timers/promises";
import { benchDatabase, benchService } from "../bench-service.ts";
import { startChild } from "../child.ts";
import type { Child } from "../child.ts";
import type { Figure, NotMeasured } from "../figure.ts";
import { cpuSeconds } from "../processor-time.ts";
import { startRedis } from "../redis-server.ts";
import { watchBatch } from "../watch-batch.ts";

const name = "webhooks/s and CPU per webhook against the same job on BullMQ and Redis";
const batchSize = 1000;
const hosts = 20;
/** After the last call's first webhook, before the clock starts. */
const settleMs = 500;
const lookEveryMs = 50;
const leastWebhooks = 100;

export type BullmqLoad = {
  readonly calls: number;
  readonly intervalMs: number;
  /** Every call has had its first webhook by then, or it is an error: what follows would be no steady state. */
  readonly warmUpLimitMs: number;
  /** At least; longer where webhooks come in bursts so far apart that there were hardly any. */
  readonly measureMs: number;
};

type Measured = { readonly perSecond: number; readonly cpuMsPerWebhook: number };

/**
 * Calls polled at the same interval from the same upstream, where a tenth of the polls is a transition, with one
 * signed webhook for each into the same sink: by BullMQ (`bullmq-service.ts` says how) and by this service, one after the
 * other. The interval asks for more polls than either can do: what is compared is the rate each reaches at most, and what
 * a webhook costs there with the ten polls behind it.
 *
 * Processor time is that of everything that does the work: BullMQ's process and Redis there, the service (with its
 * database) here. Both make the same promise: what was seen is on disk before it is acted upon. So Redis syncs its
 * append-only file before it answers, once for all that came in one turn of its loop, as SQLite here syncs one commit
 * for all transitions that came meanwhile.
 *
 * The worse of the two ratios is the value. Without a `redis-server` on the PATH nothing is measured.
 */
export async function measureBullmq(load: BullmqLoad): Promise<Figure | NotMeasured> {
  const bullmq = await measureRedisSide(load);
  if (bullmq === null) return { name, reason: "there is no redis-server on the PATH; install the package redis-server" };
  const ringback = await measureOurSide(load);
  const rate = ringback.perSecond / bullmq.perSecond;
  const cpu = bullmq.cpuMsPerWebhook / ringback.cpuMsPerWebhook;
  return {
    name,
    value: Math.min(rate, cpu),
    shown:
      `${rate.toFixed(1)} (${Math.round(ringback.perSecond)}/s against ${Math.round(bullmq.perSecond)}/s) and ` +
      `${cpu.toFixed(1)} (${ringback.cpuMsPerWebhook.toFixed(2)} ms against ${bullmq.cpuMsPerWebhook.toFixed(2)} ms)`,
    bar: ">= 5 in both",
    met: rate >= 5 && cpu >= 5,
  };
}

/** null: there is no Redis. */
async function measureRedisSide(load: BullmqLoad): Promise<Measured | null> {
  await using started = new AsyncDisposableStack();
  const redis = await startRedis();
  if (redis === null) return null;
  started.defer(() => redis.stop());
  const [upstream, sink] = await startBothEnds(started);
  const service = await startChild("./bullmq-service.ts", [redis.port, upstream.port, sink.port, load.calls, load.intervalMs].map(String));
  started.use(service);
  return await measure(load, sink, [service.pid, redis.pid]);
}

async function measureOurSide(load: BullmqLoad): Promise<Measured> {
  await using started = new AsyncDisposableStack();
  const database = started.use(await benchDatabase());
  const [upstream, sink] = await startBothEnds(started);
  const service = started.use(
    await benchService({
      DATABASE_URL: database.url,
      POLYAI_BASE_URL: `http://127.0.0.1:${upstream.port}/moving`,
      POLYAI_MAX_POLLS_PER_SECOND: "100000",
      POLL_INTERVAL_MIN_MS: String(load.intervalMs),
    }),
  );
  await service.start(AbortSignal.timeout(30_000));
  for (let from = 0; from < load.calls; from += batchSize)
    await watchBatch(service.url, { from, size: Math.min(batchSize, load.calls - from), sinkPort: sink.port, hosts });
  return await measure(load, sink, [service.pid]);
}

async function startBothEnds(started: AsyncDisposableStack): Promise<readonly [Child, Child]> {
  const ends = await Promise.all([startChild("./upstream.ts"), startChild("./sink.ts")]);
  for (const end of ends) started.use(end);
  return ends;
}

/** In a steady state: the first polls of all calls, each of them a transition, are over. */
async function measure({ calls, warmUpLimitMs, measureMs }: BullmqLoad, sink: Child, pids: readonly number[]): Promise<Measured> {
  await untilArrived(sink, calls, warmUpLimitMs);
  await setTimeout(settleMs);
  const startedMs = performance.now();
  const [webhooksBefore, cpuBefore] = await Promise.all([arrivedAt(sink), cpuSecondsOf(pids)]);
  await setTimeout(measureMs);
  await untilArrived(sink, webhooksBefore + leastWebhooks, warmUpLimitMs);
  const seconds = (performance.now() - startedMs) / 1000;
  const [webhooksAfter, cpuAfter] = await Promise.all([arrivedAt(sink), cpuSecondsOf(pids)]);
  const webhooks = webhooksAfter - webhooksBefore;
  return { perSecond: webhooks / seconds, cpuMsPerWebhook: ((cpuAfter - cpuBefore) / webhooks) * 1000 };
}

async function untilArrived(sink: Child, webhooks: number, limitMs: number): Promise<void> {
  const deadlineMs = performance.now() + limitMs;
  for (let arrived = 0; arrived < webhooks;) {
    if (performance.now() > deadlineMs) throw new Error(`${arrived} of ${webhooks} webhooks in ${limitMs} ms`);
    await setTimeout(lookEveryMs);
    arrived = await arrivedAt(sink);
  }
}

async function arrivedAt(sink: Child): Promise<number> {
  return ((await sink.ask("arrived")) as { distinct: number }).distinct;
}

async function cpuSecondsOf(pids: readonly number[]): Promise<number> {
  const seconds = await Promise.all(pids.map(cpuSeconds));
  return seconds.reduce((sum, ofProcess) => sum + ofProcess, 0);
}

import { setTimeout } from "node:timers/promises";
import type { ServiceProcess } from "../../../src/cli/demo/service-process.ts";
import { asAdministrator, databaseUrl, startEmbedded } from "../../harness/postgres/postgres-server.ts";
import { encryptionKey } from "../../harness/service/environment.ts";
import type { Environment } from "../../harness/service/environment.ts";
import { benchService } from "../bench-service.ts";
import { startChild } from "../child.ts";
import type { Child } from "../child.ts";
import type { Figure } from "../figure.ts";
import { cpuSeconds } from "../machine/processor-time.ts";
import { watchBatch } from "../watch-batch.ts";

const webhooksPerCall = 3;
const batchSize = 50;
/** Webhooks pending at any time: enough to keep every instance busy, and no more than one instance holds in memory. */
const pendingAtOnce = 900;
const hosts = 20;
const pollIntervalMs = 100;
const lookEveryMs = 5;
/** The measurement fails if no webhook arrives for this time. */
const stallMs = 30_000;

export type TwoInstancesLoad = {
  readonly calls: number;
  /** Before the clock starts, for every process to have compiled what it runs and every receiver to be known as a good one. */
  readonly warmUpCalls: number;
  readonly rounds: number;
};

type Measured = { readonly perSecond: number; readonly cpuMsPerWebhook: number };

/**
 * Whether a second instance on the same machine and the same Postgres costs anything. Calls are registered, in batches
 * through the instances in turn; each is seen as queued, calling and success, with one webhook each; counted is the time
 * from the first registration to the last webhook. A new batch comes as soon as enough webhooks of those before it have
 * arrived, and nothing waits to be polled (the interval is a tenth of a second, the rate no limit): so the processors are
 * what limits it, and what two instances spend on each other (twice the transactions with half as much in each, claims,
 * notifications, sweeps) shows as a lower rate. One and two in turn, `rounds` times, each on a fresh database; the middle
 * ratio counts.
 *
 * A webhook that does not arrive is an error, not a slower rate.
 */
export async function measureTwoInstances(load: TwoInstancesLoad): Promise<Figure> {
  const server = await startEmbedded();
  try {
    const rounds: { readonly one: Measured; readonly two: Measured; readonly ratio: number }[] = [];
    for (let round = 0; round < load.rounds; round++) {
      const one = await onFreshDatabase(server.url, `one_${round}`, (url) => measure(url, 1, load));
      const two = await onFreshDatabase(server.url, `two_${round}`, (url) => measure(url, 2, load));
      rounds.push({ one, two, ratio: two.perSecond / one.perSecond });
    }
    return figureOf(rounds.toSorted((a, b) => a.ratio - b.ratio));
  } finally {
    await server.stop();
  }
}

function figureOf(rounds: readonly { readonly one: Measured; readonly two: Measured; readonly ratio: number }[]): Figure {
  const middle = rounds[Math.floor(rounds.length / 2)];
  if (middle === undefined) throw new Error("no round was measured");
  const { one, two, ratio } = middle;
  return {
    name: "webhooks/s of two instances on one machine and one Postgres against one instance",
    value: ratio,
    shown:
      `${ratio.toFixed(2)} (${Math.round(two.perSecond)}/s against ${Math.round(one.perSecond)}/s, ` +
      `${two.cpuMsPerWebhook.toFixed(2)} ms of the services' CPU a webhook against ${one.cpuMsPerWebhook.toFixed(2)} ms; ` +
      `from ${rounds[0]?.ratio.toFixed(2)} to ${rounds.at(-1)?.ratio.toFixed(2)} in ${rounds.length} rounds)`,
    bar: ">= 1.0",
    met: ratio >= 1,
  };
}

async function onFreshDatabase(serverUrl: string, database: string, run: (url: string) => Promise<Measured>): Promise<Measured> {
  await asAdministrator(serverUrl, `create database ${database}`);
  try {
    return await run(databaseUrl(serverUrl, database));
  } finally {
    await asAdministrator(serverUrl, `drop database ${database} with (force)`);
  }
}

async function measure(url: string, instanceCount: number, { calls, warmUpCalls }: TwoInstancesLoad): Promise<Measured> {
  await using started = new AsyncDisposableStack();
  const [upstream, sink] = await Promise.all([startChild("./upstream.ts"), startChild("./sink.ts")]);
  for (const end of [upstream, sink]) started.use(end);
  const instances: ServiceProcess[] = [];
  for (let index = 0; index < instanceCount; index++) instances.push(started.use(await benchService(environmentOf(url, upstream.port))));
  await Promise.all(instances.map((instance) => instance.start(AbortSignal.timeout(60_000))));
  await watchAll(instances, sink, { from: 0, to: warmUpCalls });
  const startedAtMs = performance.timeOrigin + performance.now();
  const cpuBefore = await cpuSecondsOf(instances);
  const endedAtMs = await watchAll(instances, sink, { from: warmUpCalls, to: warmUpCalls + calls });
  const webhooks = calls * webhooksPerCall;
  const cpuMsPerWebhook = (((await cpuSecondsOf(instances)) - cpuBefore) / webhooks) * 1000;
  return { perSecond: (webhooks / (endedAtMs - startedAtMs)) * 1000, cpuMsPerWebhook };
}

function environmentOf(url: string, upstreamPort: number): Environment {
  return {
    DATABASE_URL: url,
    RINGBACK_ENCRYPTION_KEY: encryptionKey,
    POLYAI_BASE_URL: `http://127.0.0.1:${upstreamPort}/walking`,
    POLYAI_MAX_POLLS_PER_SECOND: "100000",
    POLL_INTERVAL_MIN_MS: String(pollIntervalMs),
  };
}

/** Registers these calls as fast as their webhooks arrive; resolves with when the last one of them did. */
async function watchAll(
  instances: readonly ServiceProcess[],
  sink: Child,
  { from, to }: { readonly from: number; readonly to: number },
): Promise<number> {
  let next = from;
  for (;;) {
    const { distinct, lastAtMs } = (await sink.ask("arrived")) as { distinct: number; lastAtMs: number };
    if (distinct === to * webhooksPerCall) return lastAtMs;
    const via = instances[(next / batchSize) % instances.length];
    if (via !== undefined && next < to && next * webhooksPerCall - distinct < pendingAtOnce) {
      await watchBatch(via.url, { from: next, size: batchSize, sinkPort: sink.port, hosts });
      next += batchSize;
    } else {
      if (lastAtMs > 0 && performance.timeOrigin + performance.now() - lastAtMs > stallMs)
        throw new Error(`${distinct} of ${next * webhooksPerCall} webhooks arrived`);
      await setTimeout(lookEveryMs);
    }
  }
}

async function cpuSecondsOf(instances: readonly ServiceProcess[]): Promise<number> {
  const seconds = await Promise.all(instances.map(({ pid }) => cpuSeconds(pid)));
  return seconds.reduce((sum, ofInstance) => sum + ofInstance, 0);
}

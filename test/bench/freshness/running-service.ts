import { setTimeout } from "node:timers/promises";
import { request } from "undici";
import type { ServiceProcess } from "../../../src/cli/demo/service-process.ts";
import { asAdministrator, databaseUrl, startEmbedded } from "../../harness/postgres/postgres-server.ts";
import { apiKey, encryptionKey } from "../../harness/service/environment.ts";
import type { Environment } from "../../harness/service/environment.ts";
import { benchDatabase, benchService } from "../bench-service.ts";
import { startChild } from "../child.ts";
import type { Child } from "../child.ts";
import { percentile, printFigures } from "../figure.ts";
import { cpuSeconds } from "../machine/processor-time.ts";

const mixName = "40 % at 28 s";
const calls = 2000;
const batchSize = 500;
const lookEveryMs = 250;

type Load = { readonly warmUpChanges: number; readonly measuredChanges: number; readonly simulatedRatio: number };
type Ended = { readonly delaysMs: readonly number[]; readonly polls: number };
type Side = { readonly meanMs: number; readonly p99Ms: number; readonly pollsPerSecond: number; readonly cpuPercent: number };

/**
 * Measures the delay of running services at 2,000 calls and 200 polls a second, side by side: the even schedule and the
 * learned one, of one instance and of two on one Postgres. A call that has ended is followed by another.
 * `simulatedRatio`: the mean of the learned schedule to the even one in the simulation. Resolves with whether every value is finite.
 */
export async function runRunningFreshness(load: Load): Promise<boolean> {
  await using started = new AsyncDisposableStack();
  const files = [started.use(await benchDatabase()), started.use(await benchDatabase())];
  const server = await startEmbedded();
  started.defer(() => server.stop());
  const two = async (schedule: string) => {
    await asAdministrator(server.url, `create database ${schedule}`);
    const environment = {
      DATABASE_URL: databaseUrl(server.url, schedule),
      RINGBACK_ENCRYPTION_KEY: encryptionKey,
      POLL_FRESHNESS: schedule,
    };
    return measure([environment, environment], load);
  };
  const [even, learned, evenOfTwo, learnedOfTwo] = await Promise.all([
    measure([{ DATABASE_URL: files[0]?.url ?? "", POLL_FRESHNESS: "even" }], load),
    measure([{ DATABASE_URL: files[1]?.url ?? "", POLL_FRESHNESS: "learned" }], load),
    two("even"),
    two("learned"),
  ]);
  const sides = {
    "round-robin": even,
    learned,
    "round-robin, two instances": evenOfTwo,
    "learned, two instances": learnedOfTwo,
  };
  console.log(`\n${table(sides)}\n`);
  const most = load.simulatedRatio + 0.05;
  const gain = (name: string, evenly: Side, { meanMs }: Side) => {
    const value = meanMs / evenly.meanMs;
    return {
      name: `${mixName}, running service, ${name}: mean to round-robin`,
      value,
      shown: value.toFixed(3),
      bar: `<= ${most.toFixed(2)}`,
      met: value <= most,
    };
  };
  return printFigures([gain("learned", even, learned), gain("learned by two instances", evenOfTwo, learnedOfTwo)]);
}

async function measure(environments: readonly Environment[], { warmUpChanges, measuredChanges }: Load): Promise<Side> {
  await using started = new AsyncDisposableStack();
  const upstream = started.use(await startChild("./freshness/ending-upstream-program.ts", [mixName]));
  const services: ServiceProcess[] = [];
  for (const environment of environments) {
    const base = { POLYAI_BASE_URL: `http://127.0.0.1:${upstream.port}/calls`, POLYAI_MAX_POLLS_PER_SECOND: "200" };
    const service = started.use(await benchService({ ...base, ...environment }));
    await service.start(AbortSignal.timeout(180_000));
    services.push(service);
  }
  const follow = follower(upstream, services);
  await follow(warmUpChanges);
  const [startedMs, cpuBefore] = [performance.now(), await cpuSecondsOf(services)];
  const { delaysMs, polls } = await follow(measuredChanges);
  const seconds = (performance.now() - startedMs) / 1000;
  return {
    meanMs: delaysMs.reduce((sum, delayMs) => sum + delayMs, 0) / delaysMs.length,
    p99Ms: percentile(delaysMs, 0.99),
    pollsPerSecond: polls / seconds,
    cpuPercent: (((await cpuSecondsOf(services)) - cpuBefore) / seconds) * 100,
  };
}

/** Keeps 2,000 calls alive; resolves with what the upstream counted while `changes` more ended. */
function follower(upstream: Child, services: readonly ServiceProcess[]): (changes: number) => Promise<Ended> {
  let begun = 0;
  const begin = async (count: number): Promise<void> => {
    for (let rest = count; rest > 0; rest -= batchSize) {
      const size = Math.min(rest, batchSize);
      const service = services[Math.floor(begun / batchSize) % services.length];
      await watch(service?.url ?? "", begun, size);
      begun += size;
    }
  };
  return async (changes) => {
    if (begun === 0) await begin(calls);
    const delaysMs: number[] = [];
    let polls = 0;
    while (delaysMs.length < changes) {
      await setTimeout(lookEveryMs);
      const ended = (await upstream.ask("ended")) as Ended;
      delaysMs.push(...ended.delaysMs);
      polls += ended.polls;
      await begin(ended.delaysMs.length);
    }
    return { delaysMs, polls };
  };
}

async function watch(url: string, from: number, size: number): Promise<void> {
  const watches = Array.from({ length: size }, (_, offset) => ({ call_sid: `OUT-fresh-${from + offset}`, callback_url: null }));
  const { statusCode, body } = await request(`${url}/v1/watches/batch`, {
    method: "POST",
    headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/json" },
    body: JSON.stringify({ watches }),
  });
  await body.dump();
  if (statusCode !== 200) throw new Error(`the batch was answered ${statusCode}`);
}

async function cpuSecondsOf(services: readonly ServiceProcess[]): Promise<number> {
  const seconds = await Promise.all(services.map(({ pid }) => cpuSeconds(pid)));
  return seconds.reduce((sum, one) => sum + one, 0);
}

function table(sides: Readonly<Record<string, Side>>): string {
  return [
    `| ${mixName}, ${calls.toLocaleString("en")} calls | mean | p99 | polls/s | CPU of the service |`,
    "|---|---|---|---|---|",
    ...Object.entries(sides).map(
      ([name, { meanMs, p99Ms, pollsPerSecond, cpuPercent }]) =>
        `| ${name} | ${(meanMs / 1000).toFixed(2)} s | ${(p99Ms / 1000).toFixed(1)} s | ${pollsPerSecond.toFixed(0)} | ${cpuPercent.toFixed(1)} % |`,
    ),
  ].join("\n");
}

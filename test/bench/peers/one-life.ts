import { setTimeout } from "node:timers/promises";
import { startChild } from "../child.ts";
import type { Child } from "../child.ts";
import { percentile } from "../figure.ts";
import { residentBytes, threadTimes, treeCpuSeconds, treeMemoryBytes } from "../machine/processor-time.ts";
import type { Peer } from "./peers.ts";
import type { RunningPeer } from "./running-peer.ts";

const lookEveryMs = 50;
const bytesPerMib = 2 ** 20;

export type LifeLoad = {
  readonly calls: number;
  readonly intervalMs: number;
  /** Every call has had its first webhook by then, or it is an error: what follows would be no steady state. */
  readonly warmUpLimitMs: number;
  /** After the last call's first webhook, before the clock starts: compilers work, queues of the start drain. */
  readonly settleMs: number;
  readonly measureMs: number;
};

/** What one process did in a steady state. CPU is in milliseconds for each webhook, with the polls behind it. */
export type Life = {
  readonly perSecond: number;
  readonly serviceCpuMs: number;
  readonly mainThreadCpuMs: number;
  readonly storeCpuMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Resident memory. */
  readonly serviceMib: number;
  /** Memory of all its processes; what they share counts once. */
  readonly storeMib: number;
};

/** A peer at work, with its two ends. */
export type PeerAtWork = { readonly running: RunningPeer; readonly upstream: Child; readonly sink: Child; readonly storePid: number };

/** Starts a peer on an empty store, runs `use`, and ends everything. Resolves with `null` if this machine lacks the store. */
export async function withPeer<T>(
  peer: Peer,
  { calls, intervalMs }: { readonly calls: number; readonly intervalMs: number },
  use: (atWork: PeerAtWork) => Promise<T>,
): Promise<T | null> {
  await using started = new AsyncDisposableStack();
  const store = await peer.openStore();
  if (store === null) return null;
  started.use(store);
  const [upstream, sink] = await Promise.all([startChild("./upstream.ts"), startChild("./sink.ts")]);
  for (const end of [upstream, sink]) started.use(end);
  const running = started.use(await peer.start({ upstreamPort: upstream.port, sinkPort: sink.port, calls, intervalMs }, store.address));
  return await use({ running, upstream, sink, storePid: store.pid });
}

/** Measures one life of a peer; `null` if this machine lacks its store. */
export function measureLife(peer: Peer, load: LifeLoad): Promise<Life | null> {
  return withPeer(peer, load, async ({ running, sink, storePid }) => {
    await untilArrived(peer, sink, load.calls, load.warmUpLimitMs);
    await setTimeout(load.settleMs);
    await sink.ask("latencies");
    const startedMs = performance.now();
    const before = await sample(running.pid, storePid, sink);
    await setTimeout(load.measureMs);
    await untilArrived(peer, sink, before.webhooks + 1, load.warmUpLimitMs);
    const after = await sample(running.pid, storePid, sink);
    const seconds = (performance.now() - startedMs) / 1000;
    const latenciesMs = (await sink.ask("latencies")) as number[];
    const webhooks = after.webhooks - before.webhooks;
    const perWebhookMs = (secondsBefore: number, secondsAfter: number) => ((secondsAfter - secondsBefore) / webhooks) * 1000;
    return {
      perSecond: webhooks / seconds,
      serviceCpuMs: perWebhookMs(before.service.allSeconds, after.service.allSeconds),
      mainThreadCpuMs: perWebhookMs(before.service.mainSeconds, after.service.mainSeconds),
      storeCpuMs: perWebhookMs(before.storeSeconds, after.storeSeconds),
      p50Ms: percentile(latenciesMs, 0.5),
      p99Ms: percentile(latenciesMs, 0.99),
      serviceMib: (await residentBytes(running.pid)) / bytesPerMib,
      storeMib: storePid === 0 ? 0 : (await treeMemoryBytes(storePid)) / bytesPerMib,
    };
  });
}

async function sample(pid: number, storePid: number, sink: Child) {
  const [webhooks, service, storeSeconds] = await Promise.all([
    arrivedAt(sink),
    threadTimes(pid),
    storePid === 0 ? 0 : treeCpuSeconds(storePid),
  ]);
  return { webhooks, service, storeSeconds };
}

async function untilArrived(peer: Peer, sink: Child, webhooks: number, limitMs: number): Promise<void> {
  const deadlineMs = performance.now() + limitMs;
  for (let arrived = 0; arrived < webhooks;) {
    if (performance.now() > deadlineMs) throw new Error(`${peer.name}: ${arrived} of ${webhooks} webhooks in ${limitMs} ms`);
    await setTimeout(lookEveryMs);
    arrived = await arrivedAt(sink);
  }
}

async function arrivedAt(sink: Child): Promise<number> {
  return ((await sink.ask("arrived")) as { distinct: number }).distinct;
}

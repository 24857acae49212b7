import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import type { WatchedCall } from "../../../src/ports/stores/call-store.ts";
import { startChild } from "../child.ts";
import { percentile } from "../figure.ts";
import type { Figure } from "../figure.ts";
import { Outbound } from "../outbound.ts";

const everyMs = 10;
const eventsPerCall = 45;
const transitionsAtOnce = 1000;

/** Measures what a dead endpoint with `pending` deliveries costs the others: their 99th percentile, commit to receiver, with it and without. */
export async function measureDeadEndpoint(pending: number, roundMs: number): Promise<Figure> {
  const folder = await mkdtemp(join(tmpdir(), "ringback-bench-"));
  const sink = await startChild("./sink.ts");
  const outbound = await Outbound.open(join(folder, "ringback.db"));
  try {
    const live = await outbound.watch(200, "live", (index) => `http://127.0.0.${2 + (index % 4)}:${sink.port}/hook`);
    const moving = [...live];
    await move(outbound, moving, roundMs / 2);
    await sink.ask("forget");
    const without = await latencyP99(outbound, sink, moving, roundMs);
    const dead = await outbound.watch(pending, "dead", () => "http://127.0.0.1:9/dead");
    for (let from = 0; from < dead.length; from += transitionsAtOnce)
      await Promise.all(dead.slice(from, from + transitionsAtOnce).map((call) => outbound.see(call, "queued")));
    await sink.ask("forget");
    const beside = await latencyP99(outbound, sink, moving, roundMs);
    const ratio = beside / without;
    return {
      name: `p99 of other endpoints beside a dead one with ${pending} pending, against without it`,
      value: ratio,
      shown: `${ratio.toFixed(2)} (${beside.toFixed(1)} ms against ${without.toFixed(1)} ms)`,
      bar: "<= 1.20",
      met: ratio <= 1.2,
    };
  } finally {
    await outbound[Symbol.asyncDispose]();
    await sink[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  }
}

async function latencyP99(
  outbound: Outbound,
  sink: Awaited<ReturnType<typeof startChild>>,
  moving: WatchedCall[],
  roundMs: number,
): Promise<number> {
  await move(outbound, moving, roundMs);
  return percentile((await sink.ask("latencies")) as number[], 0.99);
}

/** One transition every few milliseconds, from call to call. */
async function move(outbound: Outbound, moving: WatchedCall[], roundMs: number): Promise<void> {
  const endMs = performance.now() + roundMs;
  while (performance.now() < endMs) {
    const call = moving.shift();
    if (call === undefined) throw new Error("the round needs more calls");
    const next = await outbound.see(call, `step-${call.version}`);
    if (next.version <= eventsPerCall) moving.push(next);
    await setTimeout(everyMs);
  }
}

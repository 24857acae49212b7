import { setTimeout } from "node:timers/promises";
import { Pool } from "undici";
import { systemClock } from "../../../src/adapters/clock.ts";
import { PolyaiSource } from "../../../src/adapters/polyai/polyai-source.ts";
import { openSqliteStore } from "../../../src/adapters/sqlite/store.ts";
import { Poller } from "../../../src/engine/polling/poller.ts";
import type { WatchedCall } from "../../../src/ports/stores/call-store.ts";
import type { Metrics } from "../../../src/ports/telemetry.ts";
import { startChild } from "../child.ts";
import type { Figure } from "../figure.ts";
import { silentLogger, silentMetrics } from "../../harness/silent-telemetry.ts";
import { pollPolicy } from "../../harness/polling.ts";
import { testPolicy } from "../../harness/store-drafts.ts";

/** As many as the poller has on the wire. */
const concurrency = 128;
const rounds = 3;

/** Polls a second through the whole poller against a bare `Pool.request` and `JSON.parse`, same concurrency, same upstream, in turn. */
export async function measurePollerAgainstLoop(roundMs: number): Promise<Figure> {
  const upstream = await startChild("./upstream.ts");
  const baseUrl = `http://127.0.0.1:${upstream.port}/steady`;
  const ratios: number[] = [];
  let last = { bare: 0, whole: 0 };
  for (let round = 0; round < rounds; round++) {
    const bare = await pollBare(baseUrl, roundMs);
    const whole = await pollWhole(baseUrl, roundMs);
    last = { bare, whole };
    ratios.push(whole / bare);
  }
  await upstream[Symbol.asyncDispose]();
  const ratio = ratios.toSorted((a, b) => a - b)[Math.floor(rounds / 2)] ?? 0;
  return {
    name: "polls/s, whole poller against a bare loop",
    value: ratio,
    shown: `${ratio.toFixed(2)} (${Math.round(last.whole)} against ${Math.round(last.bare)} a second in the last of ${rounds} rounds)`,
    bar: ">= 0.80",
    met: ratio >= 0.8,
  };
}

async function pollBare(baseUrl: string, roundMs: number): Promise<number> {
  const { origin, pathname } = new URL(baseUrl);
  const pool = new Pool(origin, { connections: concurrency, pipelining: 1, allowH2: false });
  const endMs = performance.now() + roundMs;
  let count = 0;
  const loop = async (): Promise<void> => {
    while (performance.now() < endMs) {
      const { body } = await pool.request({ path: `${pathname}/v1/outbound-calling/OUT-${count % 1000}/status`, method: "GET" });
      JSON.parse(await body.text());
      count += 1;
    }
  };
  await Promise.all(Array.from({ length: concurrency }, loop));
  await pool.close();
  return (count / roundMs) * 1000;
}

async function pollWhole(baseUrl: string, roundMs: number): Promise<number> {
  const store = await openSqliteStore({ path: ":memory:", policy: testPolicy });
  let count = 0;
  const metrics: Metrics = { ...silentMetrics, pollFinished: () => void (count += 1) };
  const callSource = new PolyaiSource(
    { kind: "polyai-legacy", baseUrl, credential: "bench", agentId: null, environment: null },
    systemClock,
  );
  const source = { id: "src_bench", name: "default", kind: "polyai-legacy", maxPollsPerSecond: 1_000_000 } as const;
  const poller = new Poller({
    sources: [{ source, callSource, policy: pollPolicy, intervalMinMs: 1, intervalMaxMs: 10 }],
    store,
    clock: systemClock,
    logger: silentLogger,
    metrics,
    listeners: [],
    onSourceChange: () => undefined,
  });
  for (let index = 0; index < 1000; index++) poller.watch(watchedCall(index));
  await setTimeout(roundMs);
  const polls = count;
  await poller.stop(1000);
  await callSource.close();
  await store.close();
  return (polls / roundMs) * 1000;
}

/** A call whose status does not change, so that only polling is measured. */
function watchedCall(index: number): WatchedCall {
  const nowMs = Date.now();
  const status = { status: "calling", reason: "", terminal: false, observedAtMs: nowMs, lastGoodPollAtMs: nowMs };
  return {
    callId: `call_${index}`,
    sourceName: "default",
    callSid: `OUT-${index}`,
    scope: "",
    accountId: "acc_bench",
    status,
    version: 1,
    createdAtMs: nowMs,
    oldestWatchAtMs: nowMs,
    youngestWatchAtMs: nowMs,
    earliestDeadlineAtMs: nowMs + 3_600_000,
    needsFirstEvent: false,
  };
}

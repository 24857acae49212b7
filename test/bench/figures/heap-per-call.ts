import { systemClock } from "../../../src/adapters/clock.ts";
import { openSqliteStore } from "../../../src/adapters/sqlite/store.ts";
import { newId } from "../../../src/domain/ids.ts";
import { Poller } from "../../../src/engine/polling/poller.ts";
import type { Figure } from "../figure.ts";
import { silentLogger, silentMetrics } from "../../harness/silent-telemetry.ts";
import { pollPolicy } from "../../harness/polling.ts";
import { testPolicy } from "../../harness/store-drafts.ts";

/** What one watched call costs in memory while it waits for its next poll. */
export async function measureHeapPerCall(calls: number): Promise<Figure> {
  const store = await openSqliteStore({ path: ":memory:", policy: testPolicy });
  const never = { poll: () => new Promise<never>(() => undefined), sidFault: () => null, close: () => Promise.resolve() };
  const poller = new Poller({
    // A rate that keeps all but a few of them waiting.
    sources: [
      {
        source: { id: "src_bench", name: "default", kind: "polyai-legacy", maxPollsPerSecond: 1 },
        callSource: never,
        policy: pollPolicy,
        intervalMinMs: 60_000,
        intervalMaxMs: 60_000,
      },
    ],
    store,
    clock: systemClock,
    logger: silentLogger,
    metrics: silentMetrics,
    listeners: [],
    onSourceChange: () => undefined,
  });
  const before = usedHeap();
  const nowMs = Date.now();
  for (let index = 0; index < calls; index++)
    poller.watch({
      // A hundred thousand a second, because there are no more ids.
      callId: newId("call", nowMs + Math.floor(index / 100)),
      sourceName: "default",
      callSid: `OUT-550e8400-e29b-41d4-a716-${String(index).padStart(12, "0")}`,
      scope: "",
      accountId: "acc_1kw4kg04000",
      status: { status: "calling", reason: "", details: null, terminal: false, observedAtMs: nowMs, lastGoodPollAtMs: nowMs },
      version: 2,
      createdAtMs: nowMs,
      oldestWatchAtMs: nowMs,
      youngestWatchAtMs: nowMs,
      earliestDeadlineAtMs: nowMs + 86_400_000,
      needsFirstEvent: false,
      isUnfinished: false,
    });
  const bytes = (usedHeap() - before) / calls;
  void poller.stop(0);
  await store.close();
  return {
    name: `heap per watched call at ${calls} calls`,
    value: bytes,
    shown: `${Math.round(bytes)} bytes`,
    bar: "<= 1024 bytes",
    met: bytes <= 1024,
  };
}

function usedHeap(): number {
  if (globalThis.gc === undefined) throw new Error("run with --expose-gc");
  globalThis.gc();
  globalThis.gc();
  return process.memoryUsage().heapUsed;
}

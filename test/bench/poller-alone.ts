import { systemClock } from "../../src/adapters/clock.ts";
import { protocolOf } from "../../src/adapters/upstream/kinds.ts";
import { UpstreamSource } from "../../src/adapters/upstream/upstream-source.ts";
import { openSqliteStore } from "../../src/adapters/sqlite/store.ts";
import { Poller } from "../../src/engine/polling/poller.ts";
import type { WatchedCall } from "../../src/ports/stores/call-store.ts";
import type { Metrics } from "../../src/ports/telemetry.ts";
import { pollPolicy } from "../harness/polling.ts";
import { silentLogger, silentMetrics } from "../harness/silent-telemetry.ts";
import { testPolicy } from "../harness/store-drafts.ts";

export type PollerAloneLoad = {
  readonly calls: number;
  readonly maxPollsPerSecond: number;
  readonly intervalMinMs: number;
  readonly intervalMaxMs: number;
};

/** Starts the poller of the service on calls whose status does not change, so that it only polls. */
export async function startPollerAlone(
  baseUrl: string,
  { calls, maxPollsPerSecond, intervalMinMs, intervalMaxMs }: PollerAloneLoad,
): Promise<AsyncDisposable & { polls(): number }> {
  const store = await openSqliteStore({ path: ":memory:", policy: testPolicy });
  let polls = 0;
  const metrics: Metrics = { ...silentMetrics, pollFinished: () => void (polls += 1) };
  const settings = { kind: "polyai-legacy", baseUrl, credential: "bench", agentId: null, environment: null } as const;
  const protocol = protocolOf({ ...settings, definition: null, statusMap: null, maxPollsPerSecond }, settings.credential);
  const callSource = new UpstreamSource(protocol, systemClock);
  const source = { id: "src_bench", name: "default", kind: "polyai-legacy", maxPollsPerSecond } as const;
  const poller = new Poller({
    sources: [{ source, callSource, policy: pollPolicy, intervalMinMs, intervalMaxMs }],
    store,
    clock: systemClock,
    logger: silentLogger,
    metrics,
    listeners: [],
    onSourceChange: () => undefined,
  });
  for (let index = 0; index < calls; index++) poller.watch(watchedCall(index));
  return {
    polls: () => polls,
    async [Symbol.asyncDispose]() {
      await poller.stop(1000);
      await callSource.close();
      await store.close();
    },
  };
}

function watchedCall(index: number): WatchedCall {
  const nowMs = Date.now();
  const status = { status: "calling", reason: "", details: null, terminal: false, observedAtMs: nowMs, lastGoodPollAtMs: nowMs };
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
    isUnfinished: false,
  };
}

import fc from "fast-check";
import { expect, onTestFinished, test } from "vitest";
import { openSqliteStore } from "../../../src/adapters/sqlite/store.ts";
import { PollSlots } from "../../../src/engine/polling/poll-slots.ts";
import { Poller } from "../../../src/engine/polling/poller.ts";
import type { Observation } from "../../../src/domain/calls/call.ts";
import type { WatchedCall } from "../../../src/ports/stores/call-store.ts";
import { FakeClock } from "../../harness/fake-clock.ts";
import { ScriptedSource, fine, pollPolicy } from "../../harness/polling.ts";
import { silentLogger, silentMetrics } from "../../harness/silent-telemetry.ts";
import { startMs, testPolicy } from "../../harness/store-drafts.ts";

type Source = { readonly name: number; inFlight: number };

test("slots are never more than the maximum, and a free one goes to the waiting source with the fewest", () => {
  const step = fc.record({ source: fc.nat(3), ends: fc.boolean() });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5 }), fc.array(step, { maxLength: 60 }), (max, steps) => {
      const slots = new PollSlots<Source>(max);
      const sources: readonly Source[] = Array.from({ length: 4 }, (_, name) => ({ name, inFlight: 0 }));
      const waiting = new Set<Source>();
      const total = () => sources.reduce((sum, { inFlight }) => sum + inFlight, 0);
      const begin = (source: Source) => {
        slots.begin(source);
        source.inFlight += 1;
      };
      for (const { source: index, ends } of steps) {
        const source = sources[index] as Source;
        if (!ends) {
          const isFree = total() < max;
          expect(slots.mayStart(source)).toBe(isFree);
          if (isFree) begin(source);
          else waiting.add(source);
          continue;
        }
        if (source.inFlight === 0) continue;
        slots.end(source);
        source.inFlight -= 1;
        const fewest = Math.min(...[...waiting].map(({ inFlight }) => inFlight));
        const next = slots.nextWaiting();
        expect(next === null).toBe(waiting.size === 0);
        if (next === null) continue;
        expect([waiting.delete(next), next.inFlight]).toEqual([true, fewest]);
        begin(next);
        expect(slots.nextWaiting()).toBeNull();
      }
      expect(total()).toBeLessThanOrEqual(max);
    }),
  );
});

/** A call whose status does not change. */
function watchedCall(sourceName: string, index: number): WatchedCall {
  const status = { status: "queued", reason: "", details: null, terminal: false, observedAtMs: startMs, lastGoodPollAtMs: startMs };
  return {
    callId: `call_${sourceName}${index}`,
    sourceName,
    callSid: `OUT-${sourceName}-${index}`,
    scope: "",
    accountId: "acc_1",
    status,
    version: 1,
    createdAtMs: startMs,
    oldestWatchAtMs: startMs,
    youngestWatchAtMs: startMs,
    earliestDeadlineAtMs: startMs + 86_400_000,
    needsFirstEvent: false,
    isUnfinished: false,
  };
}

test("slow sources fill the process, and one that answers at once keeps its polls", async () => {
  // Setup: four slots, two sources with many calls that answer after a second, and one that answers at once. Timeline: the
  // slow ones take every slot, then the third source gets calls. Proven: there are never more than four polls in flight, a
  // slot that becomes free serves the third source first, and the slow ones go on.
  const clock = new FakeClock(startMs);
  const store = await openSqliteStore({ path: ":memory:", policy: testPolicy });
  onTestFinished(() => store.close());
  const upstreams = new Map(["slow", "slower", "prompt"].map((name) => [name, new ScriptedSource(clock)]));
  const upstream = (name: string): ScriptedSource => upstreams.get(name) as ScriptedSource;
  const inFlight = () => [...upstreams.values()].reduce((sum, one) => sum + one.inFlight, 0);
  let most = 0;
  const answerAfter = (delayMs: number) => () => {
    most = Math.max(most, inFlight());
    return delayMs === 0
      ? fine("queued")
      : new Promise<Observation>((resolve) => void clock.setTimer(delayMs, () => resolve(fine("queued"))));
  };
  for (const [name, delayMs] of [
    ["slow", 1000],
    ["slower", 1500],
    ["prompt", 0],
  ] as const)
    upstream(name).answer = answerAfter(delayMs);
  const poller = new Poller({
    sources: [...upstreams].map(([name, callSource]) => ({
      source: { id: `src_${name}`, name, kind: "polyai-legacy", maxPollsPerSecond: 100 },
      callSource,
      policy: pollPolicy,
      intervalMinMs: 2000,
      intervalMaxMs: 5000,
    })),
    store,
    clock,
    logger: silentLogger,
    metrics: silentMetrics,
    listeners: [],
    onSourceChange: () => undefined,
    maxPollsInFlight: 4,
  });
  onTestFinished(async () => {
    const stopping = poller.stop(0);
    await clock.advance(1);
    await stopping;
  });
  for (let index = 0; index < 30; index += 1) for (const name of ["slow", "slower"]) poller.watch(watchedCall(name, index));
  await clock.advance(100);
  expect(inFlight()).toBe(4);

  for (let index = 0; index < 5; index += 1) poller.watch(watchedCall("prompt", index));
  for (let passedMs = 0; passedMs < 12_000; passedMs += 100) await clock.advance(100);
  const polls = (name: string) => upstream(name).polls.length;
  // Each call waits for its interval of 2 s and at most a second for a slot.
  expect(polls("prompt")).toBeGreaterThanOrEqual(15);
  expect(Math.min(polls("slow"), polls("slower"))).toBeGreaterThanOrEqual(8);
  expect(most).toBe(4);
});

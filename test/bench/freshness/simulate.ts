import { IndexedHeap } from "../../../src/domain/indexed-heap.ts";
import { PollRate } from "../../../src/engine/sources/poll-rate.ts";
import { SourceFreshness } from "../../../src/engine/sources/source-freshness.ts";
import { Random } from "../../simulation/random.ts";
import type { Mix } from "./mixes.ts";

export type SimulatedRun = {
  readonly calls: number;
  readonly pollsPerSecond: number;
  readonly schedule: "learned" | "even";
  readonly seed: number;
  /** Mix of a call that begins after this number of changes. */
  readonly mixAfter: (changes: number) => Mix;
  /** Changes that are not measured, and changes that are. */
  readonly warmUpChanges: number;
  readonly measuredChanges: number;
};

export type SimulatedDelays = {
  /** Time from each change to the poll that observed it, in milliseconds, unsorted. */
  readonly delaysMs: readonly number[];
  /** Polls a second while it was measured. */
  readonly pollsPerSecond: number;
};

const intervalMinMs = 2000;
const accountId = "acc_bench";

class SimulatedCall {
  heapIndex = -1;
  dueAtMs = 0;
  isFirstPoll = false;
  planWeight = 1;
  endsAtMs = 0;
  observedAtMs = 0;
  lastPollAtMs = 0;
  readonly accountId = accountId;
  readonly minIntervalMs = 0;
  readonly status = "calling";
  readonly isSteady = true;
}

/**
 * Polls a fixed number of calls with the rate, the plans and the histograms of the service, without its network and store. A
 * call that is observed to have ended is followed by a new one at once. At the start the calls have stationary ages.
 */
export function simulate(run: SimulatedRun): SimulatedDelays {
  const numbers = new Random(run.seed);
  const random = () => numbers.fraction();
  const rate = new PollRate({ maxPollsPerSecond: run.pollsPerSecond, intervalMinMs });
  const freshness = new SourceFreshness();
  const waiting = new IndexedHeap<SimulatedCall>((a, b) => a.dueAtMs < b.dueAtMs);
  // Calls in the order of their due times, first polls and repeats.
  const due = [
    new IndexedHeap<SimulatedCall>((a, b) => a.dueAtMs < b.dueAtMs),
    new IndexedHeap<SimulatedCall>((a, b) => a.dueAtMs < b.dueAtMs),
  ];
  const [firsts, repeats] = due as [IndexedHeap<SimulatedCall>, IndexedHeap<SimulatedCall>];
  let waitingRepeats = 0;
  const calls = Array.from({ length: run.calls }, () => {
    const call = new SimulatedCall();
    rate.changeLoad(accountId, 0, 1);
    return call;
  });
  for (const call of calls) {
    let beganAtMs = -5_000_000 * (0.5 + random() / 2);
    let endsAtMs = beganAtMs;
    while (endsAtMs <= 0) {
      beganAtMs = endsAtMs;
      endsAtMs += 1000 * run.mixAfter(0).draw(random);
    }
    call.endsAtMs = endsAtMs;
    call.observedAtMs = beganAtMs;
    call.dueAtMs = random() * rate.intervalMs(accountId);
    waiting.add(call);
  }
  const delaysMs: number[] = [];
  let [nowMs, tickAtMs, changes, polls, measuredFromMs] = [0, 0, 0, 0, 0];

  const poll = (call: SimulatedCall): void => {
    rate.record(nowMs, { isFirstPoll: call.isFirstPoll });
    polls += 1;
    const lateMs = nowMs - call.dueAtMs;
    if (call.isFirstPoll) {
      call.isFirstPoll = false;
      call.observedAtMs = nowMs;
    } else if (nowMs >= call.endsAtMs) {
      freshness.recordChange("calling", call.lastPollAtMs - call.observedAtMs, nowMs - call.observedAtMs, rate.intervalMs(accountId));
      if (changes >= run.warmUpChanges) delaysMs.push(nowMs - call.endsAtMs);
      changes += 1;
      if (changes === run.warmUpChanges) [measuredFromMs, polls] = [nowMs, 0];
      rate.setPlanWeight(call, 1);
      call.isFirstPoll = true;
      call.endsAtMs = nowMs + 1000 * run.mixAfter(changes).draw(random);
      call.dueAtMs = nowMs;
      waiting.add(call);
      return;
    } else freshness.recordUnchanged("calling", call.lastPollAtMs - call.observedAtMs, nowMs - call.observedAtMs);
    call.lastPollAtMs = nowMs;
    const jitter = 0.9 + 0.2 * random();
    const delayMs = run.schedule === "learned" ? freshness.plan(rate, call, nowMs, lateMs, jitter) : rate.intervalMs(accountId) * jitter;
    call.dueAtMs = nowMs + delayMs;
    waiting.add(call);
  };

  while (changes < run.warmUpChanges + run.measuredChanges) {
    for (let call = waiting.first; call !== undefined && call.dueAtMs <= nowMs; call = waiting.first) {
      waiting.remove(call);
      if (!call.isFirstPoll) waitingRepeats += 1;
      (call.isFirstPoll ? firsts : repeats).add(call);
    }
    if (nowMs >= tickAtMs) {
      tickAtMs += 1000;
      rate.tick(nowMs, waitingRepeats);
      freshness.tick(nowMs);
    }
    const waitMs = rate.waitMs(nowMs);
    const isFirst = firsts.first !== undefined && (repeats.first === undefined || rate.mayPollFirst(nowMs));
    const queue = isFirst ? firsts : repeats;
    const call = queue.first;
    if (call !== undefined && waitMs === 0) {
      queue.remove(call);
      if (!isFirst) waitingRepeats -= 1;
      poll(call);
    } else nowMs = Math.min(tickAtMs, Math.max(nowMs + Math.max(waitMs, 0.01), call === undefined ? (waiting.first?.dueAtMs ?? 0) : 0));
  }
  return { delaysMs, pollsPerSecond: (polls / (nowMs - measuredFromMs)) * 1000 };
}

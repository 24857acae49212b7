import { decideAfterPoll, forgetDenials } from "../domain/poll-decision.ts";
import type { PollDecision } from "../domain/poll-decision.ts";
import type { CallChange, CallProblem, Observation } from "../domain/call.ts";
import type { SourceHealth } from "../domain/source.ts";
import type { CallCommitResult, CallStore, Notice, WatchedCall } from "../ports/call-store.ts";
import type { PollAnswer } from "../ports/call-source.ts";
import type { Clock } from "../ports/clock.ts";
import type { SendJob } from "../ports/send-job.ts";
import type { Logger, Metrics } from "../ports/telemetry.ts";
import { PolledCall } from "./polled-call.ts";
import { PolledSource } from "./polled-source.ts";
import type { SourceSetup } from "./polled-source.ts";
import { PollSchedule } from "./poll-schedule.ts";
import type { SourceChange } from "./source-gate.ts";

export type PollerOptions = {
  readonly sources: readonly SourceSetup[];
  readonly store: CallStore;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Webhooks of a commit, leased. */
  readonly dispatch: (jobs: readonly SendJob[]) => void;
  readonly notify: (notices: readonly Notice[]) => void;
  /** A source was suspended or goes on. */
  readonly onSourceChange: (health: SourceHealth, change: "suspended" | "resumed") => void;
  /** 0 to 1. */
  readonly random?: () => number;
};

const loadPageSize = 1000;
const maxCommitsInFlight = 1000;
const commitRetryMs = 1000;
/** An ending by deadline waits so long for a source that cannot be polled. */
const maxDeadlineWaitMs = 2 * 60 * 60 * 1000;
const idleTickMs = 1000;

/**
 * Polls every watched call once, however many watches look at it. Polling is memory, transitions are disk: a poll that
 * finds nothing new writes nothing, and what is remembered of a call changes only after the commit that says so. If the
 * commit fails, or the process dies before it, the next poll sees the transition again.
 *
 * waiting (wheel) -> due (the source's queue) -> polled -> nothing new: waiting
 *                                                       -> something: committed -> waiting, or nobody watches: forgotten
 */
export class Poller {
  readonly #options: PollerOptions;
  readonly #random: () => number;
  readonly #sources = new Map<string, PolledSource>();
  readonly #calls = new Map<string, PolledCall>();
  /** By source, scope and SID: what a registration asks for. */
  readonly #callsBySid = new Map<string, PolledCall>();
  readonly #schedule: PollSchedule<PolledCall>;
  #commitsInFlight = 0;
  #busy = 0;
  #stopping = false;
  #idle: (() => void) | null = null;

  constructor(options: PollerOptions) {
    this.#options = options;
    this.#random = options.random ?? Math.random;
    for (const setup of options.sources) this.#sources.set(setup.source.name, new PolledSource(setup, options.clock));
    this.#schedule = new PollSchedule(options.clock, (calls) => this.#enqueue(calls));
  }

  /** How often `tick` wants to be called at least. */
  readonly tickEveryMs = idleTickMs;

  get watchedCount(): number {
    return this.#calls.size;
  }

  /** Takes up every watched call of the store; each is polled within its interval. */
  async start(): Promise<void> {
    let afterCallId: string | null = null;
    for (;;) {
      const page: readonly WatchedCall[] = await this.#options.store.loadWatchedCalls({ afterCallId, limit: loadPageSize });
      for (const call of page) this.#takeUp(call);
      const last = page.at(-1);
      if (last === undefined || page.length < loadPageSize) return;
      afterCallId = last.callId;
    }
  }

  /** After a registration's commit: a call not polled so far is polled at once, as is one whose new watch is to be told. */
  watch(call: WatchedCall): void {
    const known = this.#calls.get(call.callId);
    if (known === undefined) {
      const added = this.#add(call);
      if (added !== null) this.#enqueue([added]);
      return;
    }
    known.merge(call);
    if (known.isBusy) return;
    if (call.untold || call.status.status === null) {
      this.#schedule.remove(known);
      this.#enqueue([known]);
    } else if (!known.isQueued)
      this.#scheduleNext(known, Math.min(known.dueAtMonotonicMs - this.#options.clock.monotonicMs(), this.#intervalOf(known)));
  }

  /** What is left to watch of a call; null: nothing. */
  rewatch(callId: string, call: WatchedCall | null): void {
    const known = this.#calls.get(callId);
    if (known === undefined) return;
    if (call === null) this.#drop(known);
    else known.merge(call);
  }

  lastGoodPollAtMs(sourceName: string, scope: string, callSid: string): number | null {
    return this.#callsBySid.get(sidKey(sourceName, scope, callSid))?.lastGoodPollAtMs ?? null;
  }

  isSaturated(sourceName: string, additional: number): boolean {
    return this.#sources.get(sourceName)?.gate.isSaturatedBy(additional) ?? false;
  }

  progress(
    callId: string,
  ): { readonly polledAtMs: number | null; readonly nextPollAtMs: number | null; readonly problem: CallProblem | null } | null {
    const call = this.#calls.get(callId);
    if (call === undefined) return null;
    const { clock } = this.#options;
    const nextPollAtMs = call.wheelSlot < 0 ? null : Math.round(clock.nowMs() + call.dueAtMonotonicMs - clock.monotonicMs());
    return { polledAtMs: call.lastGoodPollAtMs, nextPollAtMs, problem: call.problem };
  }

  sources(): readonly SourceHealth[] {
    return [...this.#sources.values()].map((source) => source.gate.health());
  }

  /** Our clock less each upstream's, where known. */
  clockSkews(): readonly { readonly source: string; readonly skewMs: number }[] {
    return [...this.#sources.values()].flatMap((source) =>
      source.clockSkewMs === null ? [] : [{ source: source.name, skewMs: source.clockSkewMs }],
    );
  }

  /** How long the poll that is due longest has been due. */
  oldestDueMs(): number {
    const nowMs = this.#options.clock.monotonicMs();
    let oldestMs = 0;
    for (const source of this.#sources.values())
      for (const call of source.gate.queue.entries()) {
        oldestMs = Math.max(oldestMs, nowMs - call.dueAtMonotonicMs);
        break;
      }
    return oldestMs;
  }

  /** Once a second: recovery of rates, deadlines of calls that cannot be polled, gauges; and whatever a timer missed. */
  tick(): void {
    if (this.#stopping) return;
    const { metrics } = this.#options;
    this.#schedule.tick();
    for (const source of this.#sources.values()) {
      source.gate.tick();
      const health = source.gate.health();
      metrics.sourceState(source.name, health.state);
      metrics.pollInterval(source.name, health.intervalMs);
      if (source.gate.isClosed) this.#expireUnpolled(source);
      this.#pump(source);
    }
  }

  /** No poll starts any more; those on the wire have `graceMs`. Then the calls are given back. */
  async stop(graceMs: number): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#schedule.stop();
    for (const source of this.#sources.values()) source.wakeTimer?.cancel();
    if (this.#busy > 0) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#idle = resolve;
      const deadline = this.#options.clock.setTimer(graceMs, resolve);
      await promise;
      deadline.cancel();
    }
    const calls = [...this.#calls.values()].map(({ callId, lastGoodPollAtMs }) => ({ callId, lastGoodPollAtMs }));
    for (let index = 0; index < calls.length; index += loadPageSize)
      await this.#options.store.releaseCalls(calls.slice(index, index + loadPageSize));
  }

  #takeUp(call: WatchedCall): void {
    const added = this.#add(call);
    if (added === null) return;
    added.isFirstPoll = false;
    this.#scheduleNext(added, this.#random() * this.#intervalOf(added));
  }

  #add(call: WatchedCall): PolledCall | null {
    const source = this.#sources.get(call.sourceName);
    if (source === undefined) {
      this.#options.logger.warn({ source: call.sourceName, call_id: call.callId }, "poll.source_unknown");
      return null;
    }
    const added = new PolledCall(source, call);
    this.#calls.set(call.callId, added);
    this.#callsBySid.set(sidKey(call.sourceName, call.scope, call.callSid), added);
    source.gate.changeLoad(0, 1);
    return added;
  }

  #drop(call: PolledCall): void {
    if (call.isDropped) return;
    call.isDropped = true;
    this.#schedule.remove(call);
    const { gate } = call.source;
    gate.queue.remove(call);
    gate.forgetUnwitnessed(call);
    gate.changeLoad(call.minIntervalMs, -1);
    this.#calls.delete(call.callId);
    this.#callsBySid.delete(sidKey(call.source.name, call.scope, call.callSid));
  }

  #enqueue(calls: readonly PolledCall[]): void {
    const touched = new Set<PolledSource>();
    for (const call of calls) {
      if (call.isDropped || call.isBusy || call.isQueued) continue;
      call.dueAtMonotonicMs = Math.min(call.dueAtMonotonicMs || Infinity, this.#options.clock.monotonicMs());
      call.source.gate.queue.add(call);
      touched.add(call.source);
    }
    for (const source of touched) this.#pump(source);
  }

  /** Sends what may be sent now, and wakes when more may be. */
  #pump(source: PolledSource): void {
    if (this.#stopping) return;
    while (this.#commitsInFlight < maxCommitsInFlight) {
      const call = source.gate.take();
      if (call === null) break;
      void this.#poll(source, call);
    }
    source.wakeTimer?.cancel();
    const { waitMs } = source.gate;
    source.wakeTimer = waitMs === null ? null : this.#options.clock.setTimer(waitMs, () => this.#pump(source));
  }

  async #poll(source: PolledSource, call: PolledCall): Promise<void> {
    const { clock, logger, metrics } = this.#options;
    call.isBusy = true;
    this.#busy += 1;
    const lagMs = clock.monotonicMs() - call.dueAtMonotonicMs;
    let observation: Observation = { kind: "failed", code: "connect", detail: "not asked" };
    try {
      const answer = await source.setup.callSource.poll(call, source.takeToken);
      observation = answer.observation;
      this.#noteClock(source, answer);
      metrics.pollFinished(outcomeOf(observation, call), lagMs);
    } catch (error) {
      logger.error({ source: source.name, call_id: call.callId, error: String(error) }, "poll.failed_unexpectedly");
    }
    const change = source.gate.finished(observation);
    this.#announce(source, change);
    call.isFirstPoll = false;
    try {
      await this.#conclude(call, observation);
    } catch (error) {
      // The store refused or is away: nothing was written, and the next poll sees the same again.
      logger.warn({ source: source.name, call_id: call.callId, error: String(error) }, "poll.commit_failed");
      call.isBusy = false;
      if (!call.isDropped) this.#scheduleNext(call, commitRetryMs * (1 + this.#random()));
    }
    call.isBusy = false;
    this.#busy -= 1;
    if (this.#busy === 0) this.#idle?.();
    this.#pump(source);
  }

  /** Decides what the answer means, commits what must be, and lets the call wait for its next poll. */
  async #conclude(call: PolledCall, observation: Observation): Promise<void> {
    if (call.isDropped) return;
    const { clock, logger } = this.#options;
    const { gate, setup } = call.source;
    const nowMs = clock.nowMs();
    const decision = decideAfterPoll(
      {
        status: call.callStatus,
        memory: call.memory,
        youngestWatchAtMs: call.youngestWatchAtMs,
        earliestDeadlineAtMs: call.earliestDeadlineAtMs,
      },
      observation,
      { nowMs, witnessAtMs: gate.lastGoodPollAtMs, jitter: this.#random() },
      setup.policy,
    );
    if (decision.endingUnwitnessed) this.#announce(call.source, gate.noteUnwitnessed(call));
    else gate.forgetUnwitnessed(call);
    if (decision.anomaly) logger.warn({ source: call.source.name, call_id: call.callId, from: call.status }, "call.status_went_backwards");
    const held = decision.endingUnwitnessed && gate.isMisconfigured;
    const changes = held ? decision.changes.filter((change) => change.kind !== "end") : decision.changes;
    if (changes.length > 0 || (decision.confirmed && call.untold)) {
      await this.#commit(call, decision, changes, nowMs);
      if (call.isDropped) return;
    }
    call.memory = decision.memory;
    call.lastGoodPollAtMs = decision.lastGoodPollAtMs;
    call.isBusy = false;
    this.#scheduleNext(call, this.#delayAfter(call, decision));
  }

  async #commit(
    call: PolledCall,
    decision: Pick<PollDecision, "lastGoodPollAtMs" | "confirmed">,
    changes: readonly CallChange[],
    nowMs: number,
  ): Promise<void> {
    const { store, dispatch, notify, metrics } = this.#options;
    this.#commitsInFlight += 1;
    let result: CallCommitResult;
    try {
      result = await store.commitCall({
        callId: call.callId,
        expectedVersion: call.version,
        nowMs,
        lastGoodPollAtMs: decision.lastGoodPollAtMs,
        confirmed: decision.confirmed,
        changes,
      });
    } finally {
      this.#commitsInFlight -= 1;
    }
    if (result.kind === "committed") {
      dispatch(result.jobs);
      notify(result.notices);
      for (const notice of result.notices) metrics.eventCommitted(notice.eventType);
    }
    if (result.call === null) this.#drop(call);
    else call.merge(result.call);
  }

  #delayAfter(call: PolledCall, decision: PollDecision): number {
    if (decision.next.kind === "delay") return decision.next.delayMs;
    const minIntervalMs = call.ageIntervalMs(this.#options.clock.nowMs());
    if (minIntervalMs !== call.minIntervalMs) {
      call.source.gate.changeLoad(call.minIntervalMs, -1);
      call.source.gate.changeLoad(minIntervalMs, 1);
      call.minIntervalMs = minIntervalMs;
    }
    // Calls registered together drift apart; the mean stays the interval.
    return this.#intervalOf(call) * (0.9 + 0.2 * this.#random());
  }

  #intervalOf(call: PolledCall): number {
    return Math.max(call.source.gate.intervalMs, call.minIntervalMs);
  }

  /** Never later than the deadline, which wants one more poll. */
  #scheduleNext(call: PolledCall, delayMs: number): void {
    if (this.#stopping || call.isDropped) return;
    const { clock } = this.#options;
    const toDeadlineMs = call.earliestDeadlineAtMs - clock.nowMs();
    const waitMs = toDeadlineMs > 0 ? Math.min(delayMs, toDeadlineMs) : delayMs;
    this.#schedule.add(call, clock.monotonicMs() + Math.max(0, waitMs));
  }

  #announce(source: PolledSource, change: SourceChange): void {
    if (change === "none") return;
    const health = source.gate.health();
    if (change === "resumed") this.#judgeAnew(source);
    this.#options.logger.warn({ source: source.name, state: health.state, reason: health.reason }, `source.${change}`);
    this.#options.onSourceChange(health, change);
  }

  /** What the source denied while it was suspended says nothing about the calls. */
  #judgeAnew(source: PolledSource): void {
    for (const call of this.#calls.values()) {
      if (call.source !== source || call.memory.denial === null) continue;
      call.memory = forgetDenials(call.memory);
      if (!call.isBusy && !call.isQueued) this.#scheduleNext(call, this.#random() * this.#intervalOf(call));
    }
  }

  /** An ending by deadline waits for a poll, but not for ever. */
  #expireUnpolled(source: PolledSource): void {
    const nowMs = this.#options.clock.nowMs();
    for (const call of source.gate.queue.entries()) {
      if (nowMs - call.earliestDeadlineAtMs < maxDeadlineWaitMs || call.isBusy) continue;
      void this.#expire(call, nowMs);
    }
  }

  async #expire(call: PolledCall, nowMs: number): Promise<void> {
    call.isBusy = true;
    try {
      await this.#commit(call, { lastGoodPollAtMs: call.lastGoodPollAtMs, confirmed: false }, [{ kind: "expire" }], nowMs);
    } catch (error) {
      this.#options.logger.warn({ call_id: call.callId, error: String(error) }, "poll.commit_failed");
    }
    call.isBusy = false;
  }

  #noteClock(source: PolledSource, { upstreamDateMs }: PollAnswer): void {
    if (upstreamDateMs === null) return;
    // The header has whole seconds: half of one is the best guess.
    source.clockSkewMs = this.#options.clock.nowMs() - upstreamDateMs - 500;
    this.#options.metrics.clockSkew(source.clockSkewMs);
  }
}

function sidKey(sourceName: string, scope: string, callSid: string): string {
  return `${sourceName} ${scope} ${callSid}`;
}

function outcomeOf(observation: Observation, call: PolledCall): string {
  if (observation.kind === "status") return observation.status === call.status ? "unchanged" : "transition";
  return observation.kind === "failed" ? observation.code : observation.kind;
}

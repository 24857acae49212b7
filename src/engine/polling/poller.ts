import { resetRejections, freshPollMemory } from "../../domain/calls/poll-decision.ts";
import type { SourceHealth } from "../../domain/sources/source.ts";
import type { LiveState } from "../../ports/use-cases/live-state.ts";
import type { WatchedCall } from "../../ports/stores/call-store.ts";
import { CallAssignment } from "./call-assignment.ts";
import type { PolledCall } from "./polled-call.ts";
import { CallRegistry } from "./call-registry.ts";
import { PolledSource } from "../sources/polled-source.ts";
import type { SharedPart, SourceSetup } from "../sources/polled-source.ts";
import { SourceRegistry } from "../sources/source-registry.ts";
import { TimingWheel } from "./timing-wheel.ts";
import { TransitionRecorder } from "./transition-recorder.ts";
import type { TransitionRecorderOptions } from "./transition-recorder.ts";
import type { SharedGate } from "../sources/source-gate.ts";
import type { SourceChange } from "../sources/source-suspension.ts";
import { LocalTrouble, notStartedRetryMs } from "../runtime/local-trouble.ts";
import { settledWithin } from "../runtime/timed-waits.ts";

export type PollerOptions = TransitionRecorderOptions & {
  readonly sources: readonly SourceSetup[];
  /** A source was suspended or goes on. */
  readonly onSourceChange: (health: SourceHealth, change: "suspended" | "resumed") => void;
  /** A gate learnt what holds for all instances. Set: each source is polled within a grant, which is nothing at first. */
  readonly onShared?: (sourceName: string, part: SharedPart) => void;
  /** Whether this instance may begin work now; what waits is looked at again with the next tick. */
  readonly mayStart?: () => boolean;
  /** Shared with what sends webhooks, so that trouble of both is logged once. */
  readonly localTrouble?: LocalTrouble;
  /** 0 to 1. */
  readonly random?: () => number;
};

/** An ending by deadline waits so long for a source that cannot be polled. */
const maxDeadlineWaitMs = 2 * 60 * 60 * 1000;

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
  readonly #sources: SourceRegistry<PolledCall>;
  readonly #calls: CallRegistry;
  readonly #schedule: TimingWheel<PolledCall>;
  readonly #transitions: TransitionRecorder;
  readonly #roster: CallAssignment;
  /** Polls and commits under way. */
  #busy = 0;
  #waitsForCommits = false;
  #idle: (() => void) | null = null;
  #stopped: Promise<void> | null = null;

  constructor(given: PollerOptions) {
    const options = { localTrouble: new LocalTrouble(given), ...given };
    const { clock, sources, random = Math.random } = options;
    this.#options = options;
    this.#random = random;
    this.#sources = new SourceRegistry(options);
    for (const setup of sources) this.#sources.add(new PolledSource<PolledCall>(setup, options));
    this.#calls = new CallRegistry(clock);
    this.#schedule = new TimingWheel(clock, (calls) => this.#enqueue(calls));
    this.#transitions = new TransitionRecorder(options, this.#calls, random, (source, change) =>
      this.#announceSourceChange(source, change),
    );
    this.#roster = new CallAssignment({
      ...options,
      calls: this.#calls,
      sourceOf: ({ sourceName }) => this.#sources.named(sourceName),
      random,
      pollNow: (call) => this.#pollNow(call),
      schedule: (call, delayMs) => this.#scheduleNext(call, delayMs),
      unschedule: (call) => {
        this.#schedule.remove(call);
        call.source.gate.queue.remove(call);
      },
    });
  }

  /** How often `tick` wants to be called at least. */
  readonly tickEveryMs = 1000;

  /** Calls that are polled here; those of a source that nobody configured are not. */
  get watchedCount(): number {
    return [...this.gates.values()].reduce((sum, gate) => sum + gate.share().calls, 0);
  }

  /** Takes up every watched call of the store that is this process's; each is polled within its interval. */
  start(): Promise<void> {
    return this.#roster.adoptAll();
  }

  /** One more source. Calls that named it before this process knew it are polled from now on. */
  addSource(setup: SourceSetup): void {
    const absent = this.#sources.get(setup.source.name);
    if (absent === undefined) this.#sources.add(new PolledSource<PolledCall>(setup, this.#options));
    else this.#moveTo(absent, setup);
  }

  /**
   * Another upstream, or another credential, for a source that is there. Its calls stay and are judged anew; polls on the
   * wire count for nothing and are repeated at once.
   */
  replaceUpstream(setup: SourceSetup): void {
    const source = this.#sources.get(setup.source.name);
    if (source === undefined) return;
    const { state } = source.gate.health();
    const wasClosed = source.gate.suspension !== null;
    this.#moveTo(source, setup);
    // Others hear that it goes on, and whoever joins later.
    if (wasClosed) this.#options.onShared?.(source.name, "suspension");
    if (state === "suspended") this.#announceSourceChange(source, "resumed");
  }

  setSourceRate(sourceName: string, maxPollsPerSecond: number): void {
    const source = this.#sources.get(sourceName);
    if (source === undefined) return;
    source.gate.setMaxPollsPerSecond(maxPollsPerSecond);
    this.#pump(source);
  }

  /** After a registration's commit: a call not polled so far is polled at once, as is one whose new watch is to be told. */
  watch(call: WatchedCall): void {
    this.#calls.followWallClock();
    const known = this.#roster.watch(call);
    if (known === null || known.isBusy || known.isQueued) return;
    if (known.needsFirstEvent || known.status === null) this.#pollNow(known);
    else this.#scheduleNext(known, known.dueAtMonotonicMs - this.#options.clock.monotonicMs());
  }

  /** What is left to watch of a call; null: nothing. */
  rewatch(callId: string, call: WatchedCall | null): void {
    this.#roster.rewatch(callId, call);
  }

  /** For calls that change hands between instances. */
  get assignment(): Pick<CallAssignment, "adopt" | "adoptMissing" | "releaseCalls" | "drop"> {
    return this.#roster;
  }

  /** For sources that are shared with other instances. */
  get gates(): ReadonlyMap<string, SharedGate> {
    return new Map([...this.#sources.all()].filter(({ isUnconfigured }) => !isUnconfigured).map(({ name, gate }) => [name, gate]));
  }

  /** How many calls of each source are kept here that nobody configured. */
  get callsOfUnconfiguredSources(): ReadonlyMap<string, number> {
    return new Map(
      [...this.#sources.all()].filter(({ isUnconfigured }) => isUnconfigured).map(({ name, gate }) => [name, gate.share().calls]),
    );
  }

  /** Another instance's finding was adopted, or there is more room: whoever waits may go. */
  resume(sourceName: string, change: SourceChange = "none"): void {
    const source = this.#sources.get(sourceName);
    if (source === undefined) return;
    if (change === "vindicated") this.#reconsider(source);
    this.#pump(source);
  }

  lastGoodPollAtMs(sourceName: string, scope: string, callSid: string): number | null {
    return this.#calls.find(sourceName, scope, callSid)?.lastGoodPollAtMs ?? null;
  }

  isPolled(sourceName: string, scope: string, callSid: string): boolean {
    return this.#calls.find(sourceName, scope, callSid) !== undefined;
  }

  isSaturated(sourceName: string, additional: number): boolean {
    return this.#sources.get(sourceName)?.gate.isSaturatedBy(additional) ?? false;
  }

  /** null when it is another process that polls the call; a source that is not configured here reads as suspended. */
  progress(callId: string, sourceName: string): ReturnType<LiveState["callProgress"]> {
    const call = this.#calls.get(callId);
    if (call === undefined) {
      const isKnown = this.#sources.get(sourceName)?.isUnconfigured === false;
      return isKnown ? null : { polledAtMs: null, nextPollAtMs: null, problem: "source_suspended" };
    }
    const { clock } = this.#options;
    const nextPollAtMs = call.wheelSlot < 0 ? null : Math.round(clock.nowMs() + call.dueAtMonotonicMs - clock.monotonicMs());
    return { polledAtMs: call.lastGoodPollAtMs, nextPollAtMs, problem: call.problem };
  }

  sources(): readonly SourceHealth[] {
    return this.#sources.health();
  }

  clockSkews(): ReturnType<SourceRegistry<PolledCall>["clockSkews"]> {
    return this.#sources.clockSkews();
  }

  /** Releases the sockets of every source; after `stop`. */
  async closeSources(): Promise<void> {
    await this.#sources.close();
  }

  /** How long the poll that is due longest has been due. */
  oldestDueMs(): number {
    const nowMs = this.#options.clock.monotonicMs();
    let oldestMs = 0;
    for (const { gate } of this.#sources.all())
      for (const call of gate.queue.heads()) oldestMs = Math.max(oldestMs, nowMs - call.dueAtMonotonicMs);
    return oldestMs;
  }

  /** Once a second: recovery of rates, deadlines of calls that cannot be polled, gauges; and whatever a timer missed. */
  tick(): void {
    if (this.#stopped !== null) return;
    const { metrics } = this.#options;
    this.#calls.followWallClock();
    this.#schedule.tick();
    for (const source of this.#sources.all()) {
      source.gate.tick();
      const health = source.gate.health();
      metrics.sourceState(source.name, health.state);
      metrics.pollInterval(source.name, health.intervalMs);
      if (source.gate.isClosed) this.#expireUnpolled(source);
      this.#pump(source);
    }
  }

  /** No poll starts any more; those on the wire have `graceMs`. Then the calls are given back. Never rejects. */
  stop(graceMs: number): Promise<void> {
    this.#stopped ??= this.#stop(graceMs);
    return this.#stopped;
  }

  async #stop(graceMs: number): Promise<void> {
    this.#schedule.stop();
    for (const source of this.#sources.all()) source.wakeTimer?.cancel();
    if (this.#busy > 0) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#idle = resolve;
      // The grace begins before the release, which takes time of its own.
      await Promise.all([settledWithin(this.#options.clock, graceMs, promise), this.#roster.release("idle")]);
    }
    this.#transitions.stop();
    await this.#roster.release("all");
  }

  #moveTo(source: PolledSource<PolledCall>, setup: SourceSetup): void {
    const calls = [...this.#calls.all()].filter((call) => call.source === source);
    source.replaceUpstream(setup, calls);
    for (const call of calls) {
      call.memory = freshPollMemory;
      if (!call.isBusy) this.#scheduleNext(call, this.#random() * call.intervalMs);
    }
  }

  #pollNow(call: PolledCall): void {
    this.#schedule.remove(call);
    call.dueAtMonotonicMs = this.#options.clock.monotonicMs();
    this.#enqueue([call]);
  }

  #enqueue(calls: readonly PolledCall[]): void {
    const touched = new Set<PolledSource<PolledCall>>();
    for (const call of calls) {
      call.source.gate.queue.add(call);
      touched.add(call.source);
    }
    for (const source of touched) this.#pump(source);
  }

  /** Sends what may be sent now, and wakes when more may be. */
  #pump(source: PolledSource<PolledCall>): void {
    if (this.#stopped !== null) return;
    source.wakeTimer?.cancel();
    source.wakeTimer = null;
    if (this.#options.mayStart?.() === false) return;
    while (this.#transitions.hasCapacity) {
      const call = source.gate.next();
      if (call !== null) void this.#poll(source, call);
      else {
        const { waitMs } = source.gate;
        if (waitMs !== null) source.wakeTimer = this.#options.clock.setTimer(waitMs, () => this.#pump(source));
        return;
      }
    }
    this.#waitsForCommits = true;
  }

  async #poll(source: PolledSource<PolledCall>, call: PolledCall): Promise<void> {
    const { gate } = source;
    this.#begin(call);
    let delayMs = source.setup.policy.backoffMaxMs;
    try {
      const observation = await source.ask(call);
      if (gate !== source.gate) {
        // The upstream was replaced meanwhile, and this answer is the old one's.
        delayMs = 0;
      } else if (observation.kind === "not_started") {
        gate.recordNotStarted(call);
        // Nothing is sent for what else is due before the next tick: it would fail as well.
        delayMs = notStartedRetryMs;
      } else {
        const change = gate.record(call, observation);
        this.#announceSourceChange(source, change);
        call.isFirstPoll = false;
        // What is to be committed is on its way to the store before the next ones are asked for.
        const concluded = this.#transitions.record(call, observation);
        // While a wake is set, nothing waits for the room that this answer made.
        if (source.wakeTimer === null || change !== "none") this.#pump(source);
        delayMs = await concluded;
      }
    } catch (error) {
      this.#options.logger.error({ source: source.name, call_id: call.callId, error: String(error) }, "poll.failed_unexpectedly");
    }
    this.#end(call, delayMs);
  }

  #begin(call: PolledCall): void {
    call.isBusy = true;
    this.#busy += 1;
  }

  #end(call: PolledCall, delayMs: number): void {
    call.isBusy = false;
    this.#busy -= 1;
    this.#scheduleNext(call, delayMs);
    if (this.#busy === 0) this.#idle?.();
    if (!this.#waitsForCommits || !this.#transitions.hasCapacity) return;
    this.#waitsForCommits = false;
    for (const source of this.#sources.all()) this.#pump(source);
  }

  /** Never later than the deadline, which wants one more poll. */
  #scheduleNext(call: PolledCall, delayMs: number): void {
    if (this.#stopped !== null || call.isDropped) return;
    const { clock } = this.#options;
    const toDeadlineMs = call.earliestDeadlineAtMs - clock.nowMs();
    const waitMs = toDeadlineMs > 0 ? Math.min(delayMs, toDeadlineMs) : delayMs;
    this.#schedule.add(call, clock.monotonicMs() + Math.max(0, waitMs));
  }

  #announceSourceChange(source: PolledSource<PolledCall>, change: SourceChange): void {
    if (change === "none") return;
    if (change === "vindicated") this.#reconsider(source);
    const event = change === "suspended" ? "suspended" : "resumed";
    const health = source.gate.health();
    this.#options.logger.warn({ source: source.name, state: health.state, reason: health.reason }, `source.${event}`);
    this.#options.onSourceChange(health, event);
  }

  /** What a misconfigured source denied says nothing about the calls. */
  #reconsider(source: PolledSource<PolledCall>): void {
    for (const call of this.#calls.all()) {
      if (call.source !== source || call.memory.rejection === null) continue;
      call.memory = resetRejections(call.memory);
      if (!call.isBusy && !call.isQueued) this.#scheduleNext(call, this.#random() * call.intervalMs);
    }
  }

  /** An ending by deadline waits for a poll, but not for ever. */
  #expireUnpolled(source: PolledSource<PolledCall>): void {
    const nowMs = this.#options.clock.nowMs();
    for (const call of source.gate.queue.entries()) {
      if (!this.#transitions.hasCapacity) return;
      if (nowMs - call.earliestDeadlineAtMs >= maxDeadlineWaitMs) void this.#expire(call, nowMs);
    }
  }

  async #expire(call: PolledCall, nowMs: number): Promise<void> {
    call.source.gate.queue.remove(call);
    this.#begin(call);
    await this.#transitions.expire(call, nowMs);
    this.#end(call, call.intervalMs);
  }
}

import type { CallProgress } from "../../domain/calls/call.ts";
import { resetRejections, freshPollMemory } from "../../domain/calls/poll-decision.ts";
import { maxDeadlineWaitMs } from "../../domain/calls/watch.ts";
import type { SourceHealth } from "../../domain/sources/source.ts";
import type { WatchedCall } from "../../ports/stores/call-store.ts";
import { CallAssignment } from "./call-assignment.ts";
import type { PolledCall } from "./polled-call.ts";
import { CallRegistry } from "./call-registry.ts";
import { PollSlots } from "./poll-slots.ts";
import { PolledSource } from "../sources/polled-source.ts";
import type { PollSchedule, SourceSetup } from "../sources/polled-source.ts";
import { SourceRegistry } from "../sources/source-registry.ts";
import { TimingWheel } from "./timing-wheel.ts";
import { TransitionRecorder } from "./transition-recorder.ts";
import type { TransitionRecorderOptions } from "./transition-recorder.ts";
import type { SharedPart } from "../sources/source-gate.ts";
import type { SourceChange } from "../sources/source-suspension.ts";
import { LocalTrouble, notStartedRetryMs } from "../runtime/local-trouble.ts";
import { settledWithin } from "../runtime/timed-waits.ts";
import type { Metrics } from "../../ports/telemetry.ts";

export type PollerOptions = TransitionRecorderOptions & {
  readonly metrics: Metrics;
  readonly sources: readonly SourceSetup[];
  /** Called when this instance found that a source was suspended or resumed. */
  readonly onSourceChange: (health: SourceHealth, change: "suspended" | "resumed") => void;
  /** See `SourceDependencies.onShared`. */
  readonly onShared?: (sourceName: string, part: SharedPart) => void;
  /** Whether the operator has disabled an account: its calls are not polled for it. */
  readonly isDisabled?: (accountId: string) => boolean;
  /** Called for each poll that is sent, with the account of the oldest watch. */
  readonly onPoll?: (accountId: string) => void;
  /** Whether this instance may start work now; the next tick asks again. */
  readonly mayStart?: () => boolean;
  /** Log of local trouble. Shared with the dispatcher, so that trouble of both is logged once. */
  readonly localTrouble?: LocalTrouble;
  /** 0 to 1. */
  readonly random?: () => number;
  readonly maxPollsInFlight?: number;
  /** See `SourceDependencies.schedule`. */
  readonly schedule?: PollSchedule;
};

/** Polls of all sources in flight at the same time, which bounds sockets and memory when many sources are slow. */
const maxPollsInFlight = 2000;
/** Number of calls of a removed source that one pass ends. */
const endedPerPass = 500;
/** Number of calls that one tick looks at for that, so that a closed source with many calls costs each tick little. */
const deadlineWalkCalls = 5000;

/**
 * Polls each watched call for all of its watches together. A poll without news changes only memory. A transition changes the store first, and memory only after the commit. If the commit fails,
 * or the process dies before it, the next poll observes the transition again.
 *
 * waiting (timing wheel) -> due (source's queue) -> polled -> unchanged: waiting
 *                                                          -> transition: committed -> waiting, or removed if no watch is left
 */
export class Poller {
  readonly #options: PollerOptions;
  readonly #random: () => number;
  readonly sources: SourceRegistry<PolledCall>;
  readonly calls: CallRegistry;
  readonly #wheel: TimingWheel<PolledCall>;
  readonly #transitions: TransitionRecorder;
  /** Assignment of calls, for the start and for moves between instances. */
  readonly assignment: CallAssignment;
  readonly #slots: PollSlots<PolledSource<PolledCall>>;
  /** Number of calls with a poll or commit under way. */
  #busyCalls = 0;
  #waitsForCommits = false;
  /** Position in all calls of the search for overdue deadlines; `null` if it starts from the beginning. */
  #deadlineWalk: Iterator<PolledCall> | null = null;
  #onIdle: (() => void) | null = null;
  #stopped: Promise<void> | null = null;

  constructor(given: PollerOptions) {
    const options = { localTrouble: new LocalTrouble(given), ...given };
    const { clock, sources, random = Math.random } = options;
    this.#options = options;
    this.#random = random;
    this.#slots = new PollSlots(options.maxPollsInFlight ?? maxPollsInFlight);
    this.sources = new SourceRegistry(options);
    for (const setup of sources) this.sources.add(new PolledSource<PolledCall>(setup, options));
    this.calls = new CallRegistry(clock);
    this.#wheel = new TimingWheel(clock, (calls) => this.#enqueue(calls));
    this.#transitions = new TransitionRecorder({
      ...options,
      calls: this.calls,
      random,
      onGateChange: (source, change) => this.#publishSourceChange(source, change),
    });
    this.assignment = new CallAssignment({
      ...options,
      calls: this.calls,
      sourceOf: ({ sourceName }) => this.sources.named(sourceName),
      random,
      pollNow: (call) => (call.isUnfinished ? void this.#finish(call) : this.#pollNow(call)),
      schedule: (call, delayMs) => (call.isUnfinished ? void this.#finish(call) : this.#scheduleNext(call, delayMs)),
      unschedule: (call) => {
        this.#wheel.remove(call);
        call.source.gate.queue.remove(call);
      },
    });
  }

  /** Longest time between calls of `tick`. */
  readonly tickEveryMs = 1000;

  /** Loads the calls that the store assigns to this process; each is polled within its interval. */
  start(): Promise<void> {
    return this.assignment.adoptAll();
  }

  /** Adds a source, and starts polling the calls that named it before. */
  addSource(setup: SourceSetup): void {
    const standIn = this.sources.get(setup.source.name);
    if (standIn === undefined) this.sources.add(new PolledSource<PolledCall>(setup, this.#options));
    else this.#moveTo(standIn, setup);
  }

  /**
   * Replaces the upstream or the credential of a source. Its calls stay, without their history of failures; polls in
   * flight do not count and are repeated immediately.
   */
  replaceUpstream(setup: SourceSetup): void {
    const source = this.sources.get(setup.source.name);
    if (source === undefined) return;
    const { state } = source.gate.health();
    const wasClosed = source.gate.suspension !== null;
    this.#moveTo(source, setup);
    // The other instances resume the source as well.
    if (wasClosed) this.#options.onShared?.(source.name, "suspension");
    if (state === "suspended") this.#publishSourceChange(source, "resumed");
  }

  /**
   * Stops polling a source that was removed, and ends the watches of its calls as lost, a portion at a time. Called again
   * while the source is listed as removed, because calls may arrive late from another instance.
   */
  endSource(sourceName: string): void {
    const source = this.sources.removed(sourceName, this.calls.all());
    if (source === null || this.#stopped !== null || source.gate.rate.calls === 0) return;
    let ended = 0;
    for (const call of this.calls.all()) {
      if (ended >= endedPerPass || !this.#transitions.hasCapacity) return;
      if (call.source !== source || call.isBusy) continue;
      ended += 1;
      this.#wheel.remove(call);
      source.gate.queue.remove(call);
      void this.#endLost(call);
    }
  }

  setSourceRate(sourceName: string, maxPollsPerSecond: number): void {
    const source = this.sources.get(sourceName);
    if (source === undefined) return;
    source.gate.rate.setMaxPollsPerSecond(maxPollsPerSecond);
    this.#pump(source);
  }

  /** After a registration's commit: polls the call immediately if it is new or has an initial event pending. */
  watch(call: WatchedCall): void {
    this.calls.followWallClock();
    const known = this.assignment.watch(call);
    if (known === null || known.isBusy) return;
    if (known.isUnfinished) return void this.#finish(known);
    if (known.isQueued) return;
    if (known.needsFirstEvent || known.status === null) this.#pollNow(known);
    else this.#scheduleNext(known, known.dueAtMonotonicMs - this.#options.clock.monotonicMs());
  }

  /** Applies the state of a call after a watch was removed; `null` if no watch is left. */
  rewatch(callId: string, call: WatchedCall | null): void {
    this.assignment.rewatch(callId, call);
  }

  /** Stops polling for the accounts that are disabled now. */
  parkDisabled(): void {
    void this.assignment.park([...this.calls.all()].filter((call) => this.#isParked(call)));
  }

  /** Polls waiting calls of the source, after the rate was raised or the state of another instance was adopted. */
  resume(sourceName: string, change: SourceChange = "none"): void {
    const source = this.sources.get(sourceName);
    if (source === undefined) return;
    if (change === "corroborated") this.#resetRejections(source);
    this.#pump(source);
  }

  /** Returns the progress of a call; `null` if another process polls it. An unconfigured source reads as suspended. */
  callProgress(callId: string, sourceName: string): CallProgress | null {
    const call = this.calls.get(callId);
    if (call === undefined) {
      const isKnown = this.sources.get(sourceName)?.isUnconfigured === false;
      return isKnown ? null : { polledAtMs: null, nextPollAtMs: null, problem: "source_suspended", problemDetail: null };
    }
    const { clock } = this.#options;
    const nextPollAtMs = call.wheelSlot < 0 ? null : Math.round(clock.nowMs() + call.dueAtMonotonicMs - clock.monotonicMs());
    const { problem } = call;
    return { polledAtMs: call.lastGoodPollAtMs, nextPollAtMs, problem, problemDetail: problem === null ? null : call.problemDetail };
  }

  /** Lets rates recover, ends calls that cannot be polled at their deadlines, sets gauges, and repairs missed wake-ups. */
  tick(): void {
    if (this.#stopped !== null) return;
    const { metrics } = this.#options;
    this.calls.followWallClock();
    this.#wheel.tick();
    let isAnyClosed = false;
    for (const source of this.sources.all()) {
      source.gate.tick();
      isAnyClosed ||= source.gate.isClosed;
      const health = source.gate.health();
      // A removed source is in no state, so that no alert is about it.
      metrics.sourceState(source.name, this.sources.isRemoved(source.name) ? "removed" : health.state);
      metrics.pollInterval(source.name, health.intervalMs);
      this.#followFreshness(source, health.intervalMs);
      this.#pump(source);
    }
    if (isAnyClosed) this.#expireUnpolled();
  }

  /** Lets what was learned take effect, and shows the expected delays. Before the first change they are those of the even schedule. */
  #followFreshness({ name, freshness }: PolledSource<PolledCall>, intervalMs: number): void {
    const { clock, metrics } = this.#options;
    freshness?.tick(clock.monotonicMs());
    const delays = freshness?.delays ?? null;
    metrics.detectionDelay(name, "learned", delays?.learnedMs ?? intervalMs / 2);
    metrics.detectionDelay(name, "even", delays?.evenMs ?? intervalMs / 2);
  }

  /** Starts no more polls, waits at most `graceMs` for those in flight, and releases the calls. Never rejects. */
  stop(graceMs: number): Promise<void> {
    this.#stopped ??= this.#stop(graceMs);
    return this.#stopped;
  }

  async #stop(graceMs: number): Promise<void> {
    this.#wheel.stop();
    for (const source of this.sources.all()) source.wakeTimer?.cancel();
    if (this.#busyCalls > 0) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#onIdle = resolve;
      // The grace begins before the release, because the release takes time too.
      const [isReleased] = await Promise.all([this.assignment.release("idle"), settledWithin(this.#options.clock, graceMs, promise)]);
      this.#transitions.stop();
      // A store that did not answer is not asked again, because the process must end within its grace.
      if (!isReleased) return;
    }
    this.#transitions.stop();
    await this.assignment.release("all");
  }

  #moveTo(source: PolledSource<PolledCall>, setup: SourceSetup): void {
    const calls = [...this.calls.all()].filter((call) => call.source === source);
    source.replaceUpstream(setup, calls);
    for (const call of calls) {
      call.memory = freshPollMemory;
      if (!call.isBusy) this.#scheduleNext(call, this.#random() * call.intervalMs);
    }
  }

  #pollNow(call: PolledCall): void {
    this.#wheel.remove(call);
    call.dueAtMonotonicMs = this.#options.clock.monotonicMs();
    this.#enqueue([call]);
  }

  #enqueue(calls: readonly PolledCall[]): void {
    const sources = new Set<PolledSource<PolledCall>>();
    const parked: PolledCall[] = [];
    for (const call of calls) {
      if (this.#isParked(call)) {
        parked.push(call);
        continue;
      }
      call.source.gate.queue.add(call);
      sources.add(call.source);
    }
    for (const source of sources) this.#pump(source);
    if (parked.length > 0) void this.assignment.park(parked);
  }

  /** Whether the account for which the call was polled is disabled. An unfinished commit is finished all the same. */
  #isParked({ accountId, isUnfinished }: PolledCall): boolean {
    return !isUnfinished && this.#options.isDisabled?.(accountId) === true;
  }

  /** Starts the polls that may start now, and sets a timer for the next. */
  #pump(source: PolledSource<PolledCall>): void {
    if (this.#stopped !== null) return;
    source.wakeTimer?.cancel();
    source.wakeTimer = null;
    if (this.#options.mayStart?.() === false) return;
    while (this.#transitions.hasCapacity) {
      if (source.gate.queue.size > 0 && !this.#slots.mayStart(source)) return;
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

  /** Starts polls of a source after one of its polls ended. A source that waits for a slot goes first if it has fewer. */
  #pumpInTurn(source: PolledSource<PolledCall>): void {
    if (!this.#slots.hasWaiting) return this.#pump(source);
    this.#slots.wait(source);
    return this.#pumpWaiting();
  }

  #pumpWaiting(): void {
    for (let next = this.#slots.nextWaiting(); next !== null; next = this.#slots.nextWaiting()) this.#pump(next);
  }

  async #poll(source: PolledSource<PolledCall>, call: PolledCall): Promise<void> {
    const { gate } = source;
    this.#begin(call);
    let delayMs = source.setup.policy.backoffMaxMs;
    try {
      if (call.isUnfinished) {
        await this.#transitions.finish(call);
        // The source may have asked for a pause meanwhile, so the call waits for another turn.
        gate.recordNotStarted(call);
        return this.#end(call, call.isUnfinished || call.isDropped ? call.intervalMs : 0);
      }
      this.#slots.begin(source);
      this.#options.onPoll?.(call.accountId);
      const observation = await source.poll(call);
      this.#slots.end(source);
      if (gate !== source.gate) {
        // The answer came from an upstream that was replaced meanwhile.
        delayMs = 0;
      } else if (observation.kind === "not_started") {
        gate.recordNotStarted(call);
        // Other due polls wait for the next tick, because they could not be sent either.
        delayMs = notStartedRetryMs;
      } else {
        const counted = gate.attribute(call, observation);
        const change = gate.record(call, counted);
        this.#publishSourceChange(source, change);
        call.isFirstPoll = false;
        // The commit is on its way to the store before the next polls start.
        const recorded = this.#transitions.record(call, counted);
        // A pending wake-up will start the polls that wait, so none need start here.
        if (source.wakeTimer === null || change !== "none") this.#pumpInTurn(source);
        else this.#pumpWaiting();
        delayMs = await recorded;
      }
    } catch (error) {
      this.#options.logger.error({ source: source.name, call_id: call.callId, error: String(error) }, "poll.failed_unexpectedly");
    }
    this.#end(call, delayMs);
  }

  #begin(call: PolledCall): void {
    call.isBusy = true;
    this.#busyCalls += 1;
  }

  #end(call: PolledCall, delayMs: number): void {
    call.isBusy = false;
    this.#busyCalls -= 1;
    this.#scheduleNext(call, delayMs);
    if (this.#busyCalls === 0) this.#onIdle?.();
    this.#pumpWaiting();
    if (!this.#waitsForCommits || !this.#transitions.hasCapacity) return;
    this.#waitsForCommits = false;
    for (const source of this.sources.all()) this.#pump(source);
  }

  /** Schedules the next poll, at the latest at the deadline, because a watch ends with a last poll. */
  #scheduleNext(call: PolledCall, delayMs: number): void {
    if (this.#stopped !== null || call.isDropped) return;
    const { clock } = this.#options;
    const toDeadlineMs = call.earliestDeadlineAtMs - clock.nowMs();
    const waitMs = toDeadlineMs > 0 ? Math.min(delayMs, toDeadlineMs) : delayMs;
    this.#wheel.add(call, clock.monotonicMs() + Math.max(0, waitMs));
  }

  #publishSourceChange(source: PolledSource<PolledCall>, change: SourceChange): void {
    if (change === "none") return;
    if (change === "corroborated") this.#resetRejections(source);
    const event = change === "suspended" ? "suspended" : "resumed";
    const health = source.gate.health();
    this.#options.logger.warn({ source: source.name, state: health.state, reason: health.reason }, `source.${event}`);
    this.#options.onSourceChange(health, event);
  }

  /** Discards the rejections that calls received from a misconfigured source. */
  #resetRejections(source: PolledSource<PolledCall>): void {
    for (const call of this.calls.all()) {
      if (call.source !== source || call.memory.rejection === null) continue;
      call.memory = resetRejections(call.memory);
      if (!call.isBusy && !call.isQueued) this.#scheduleNext(call, this.#random() * call.intervalMs);
    }
  }

  /** Ends calls of closed sources that waited too long after their deadline for a last poll. Visits a portion of all calls. */
  #expireUnpolled(): void {
    const nowMs = this.#options.clock.nowMs();
    this.#deadlineWalk ??= this.calls.all();
    for (let visited = 0; visited < deadlineWalkCalls && this.#transitions.hasCapacity; visited++) {
      const { value: call, done } = this.#deadlineWalk.next();
      if (call === undefined || done === true) {
        this.#deadlineWalk = null;
        return;
      }
      const isOverdue = call.isQueued && nowMs - call.earliestDeadlineAtMs >= maxDeadlineWaitMs;
      if (isOverdue && call.source.gate.isClosed) void this.#expire(call, nowMs);
    }
  }

  async #endLost(call: PolledCall): Promise<void> {
    this.#begin(call);
    await this.#transitions.endLost(call, this.#options.clock.nowMs());
    this.#end(call, call.intervalMs);
  }

  /** Finishes a commit that another process or an earlier attempt began. Needs no poll, so that a closed source does not hold it up. */
  async #finish(call: PolledCall): Promise<void> {
    this.#wheel.remove(call);
    call.source.gate.queue.remove(call);
    this.#begin(call);
    await this.#transitions.finish(call);
    this.#end(call, this.#random() * call.intervalMs);
  }

  async #expire(call: PolledCall, nowMs: number): Promise<void> {
    call.source.gate.queue.remove(call);
    this.#begin(call);
    await this.#transitions.expire(call, nowMs);
    this.#end(call, call.intervalMs);
  }
}

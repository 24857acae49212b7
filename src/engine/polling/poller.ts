import type { CallProgress } from "../../domain/calls/call.ts";
import { resetRejections, freshPollMemory } from "../../domain/calls/poll-decision.ts";
import type { SourceHealth } from "../../domain/sources/source.ts";
import type { WatchedCall } from "../../ports/stores/call-store.ts";
import { CallAssignment } from "./call-assignment.ts";
import type { PolledCall } from "./polled-call.ts";
import { CallRegistry } from "./call-registry.ts";
import { PollSlots } from "./poll-slots.ts";
import { PolledSource } from "../sources/polled-source.ts";
import type { SourceSetup } from "../sources/polled-source.ts";
import { SourceRegistry } from "../sources/source-registry.ts";
import { TimingWheel } from "./timing-wheel.ts";
import { TransitionRecorder } from "./transition-recorder.ts";
import type { TransitionRecorderOptions } from "./transition-recorder.ts";
import type { SharedPart } from "../sources/source-gate.ts";
import type { SourceChange } from "../sources/source-suspension.ts";
import { LocalTrouble, notStartedRetryMs } from "../runtime/local-trouble.ts";
import { settledWithin } from "../runtime/timed-waits.ts";

export type PollerOptions = TransitionRecorderOptions & {
  readonly sources: readonly SourceSetup[];
  /** Called when this instance found that a source was suspended or resumed. */
  readonly onSourceChange: (health: SourceHealth, change: "suspended" | "resumed") => void;
  /** See `SourceDependencies.onShared`. */
  readonly onShared?: (sourceName: string, part: SharedPart) => void;
  /** Whether this instance may start work now; the next tick asks again. */
  readonly mayStart?: () => boolean;
  /** Log of local trouble. Shared with the dispatcher, so that trouble of both is logged once. */
  readonly localTrouble?: LocalTrouble;
  /** 0 to 1. */
  readonly random?: () => number;
  readonly maxPollsInFlight?: number;
};

/** Polls of all sources in flight at the same time, which bounds sockets and memory when many sources are slow. */
const maxPollsInFlight = 2000;
/** Time after its deadline at which a watch ends even though the source cannot be polled. */
const maxDeadlineWaitMs = 2 * 60 * 60 * 1000;
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
      pollNow: (call) => this.#pollNow(call),
      schedule: (call, delayMs) => this.#scheduleNext(call, delayMs),
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
    if (known === null || known.isBusy || known.isQueued) return;
    if (known.needsFirstEvent || known.status === null) this.#pollNow(known);
    else this.#scheduleNext(known, known.dueAtMonotonicMs - this.#options.clock.monotonicMs());
  }

  /** Applies the state of a call after a watch was removed; `null` if no watch is left. */
  rewatch(callId: string, call: WatchedCall | null): void {
    this.assignment.rewatch(callId, call);
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
      return isKnown ? null : { polledAtMs: null, nextPollAtMs: null, problem: "source_suspended" };
    }
    const { clock } = this.#options;
    const nextPollAtMs = call.wheelSlot < 0 ? null : Math.round(clock.nowMs() + call.dueAtMonotonicMs - clock.monotonicMs());
    return { polledAtMs: call.lastGoodPollAtMs, nextPollAtMs, problem: call.problem };
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
      metrics.sourceState(source.name, health.state);
      metrics.pollInterval(source.name, health.intervalMs);
      this.#pump(source);
    }
    if (isAnyClosed) this.#expireUnpolled();
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
    for (const call of calls) {
      call.source.gate.queue.add(call);
      sources.add(call.source);
    }
    for (const source of sources) this.#pump(source);
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
      this.#slots.begin(source);
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

  async #expire(call: PolledCall, nowMs: number): Promise<void> {
    call.source.gate.queue.remove(call);
    this.#begin(call);
    await this.#transitions.expire(call, nowMs);
    this.#end(call, call.intervalMs);
  }
}

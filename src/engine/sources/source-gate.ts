import type { Observation, PollFailureCode } from "../../domain/calls/call.ts";
import type { Source, SourceHealth, SourceStateName } from "../../domain/sources/source.ts";
import type { Clock } from "../../ports/clock.ts";
import type { SourceShare } from "../../ports/stores/instance-store.ts";
import type { SharedSuspension } from "../../ports/stores/shared-source-store.ts";
import { CircuitBreaker } from "./circuit-breaker.ts";
import { PollRate } from "./poll-rate.ts";
import { FairPollQueue } from "./fair-poll-queue.ts";
import type { QueuedPoll } from "./fair-poll-queue.ts";
import { SourceSuspension } from "./source-suspension.ts";
import type { SourceChange } from "./source-suspension.ts";
import { UncorroboratedCalls } from "./uncorroborated-calls.ts";

export type SourceGateOptions = {
  readonly source: Source;
  readonly clock: Clock;
  readonly intervalMinMs: number;
  readonly intervalMaxMs: number;
  /** Time for which a parsed 200 proves that the source is configured correctly. */
  readonly corroborationMs: number;
  readonly maxInFlight?: number;
  /** Initial polls per second of this instance; the source's whole rate if left out. */
  readonly grantPerSecond?: number;
  /** Called when shared state changed here. */
  readonly onShared?: (part: SharedPart) => void;
};

/** Part of a source's state that all instances share. */
export type SharedPart = "suspension" | "throttle";

/** Load and recent polls of a source at one instance, or at all others together. */
export type GateShare = Omit<SourceShare, "ratePerSecond" | "oldestDuePollMs">;

const maxInFlightDefault = 128;
const misconfiguredCalls = 10;
/** Time for which a parsed 200 of one call proves that another one's 403 concerns that call alone. */
const forbiddenCallMs = 10_000;
/**
 * Shortest wait for the rate, one slot of the timing wheel. Polls that wait for it start together; one by one they would
 * cost twice the time.
 */
const coalesceMs = 12;
/** Failures with an answer that does not refuse the credential. */
const answeredCodes: ReadonlySet<PollFailureCode> = new Set<PollFailureCode>(["redirect", "not_json", "too_large", "unexpected_status"]);

/**
 * Decides which call of a source is polled next, and when.
 *
 * | mode          | entered by                        | polls allowed               | left by                              |
 * |---------------|-----------------------------------|-----------------------------|--------------------------------------|
 * | open          | start, or the end of another mode | within the rate (see below) | any other mode                       |
 * | throttled     | 429                               | none                        | `Retry-After`, or a backoff          |
 * | suspended     | 401 or 403                        | one probe at a time         | probe without 401, 403, 429 or 5xx   |
 * | misconfigured | ten uncorroborated 400s or 404s   | one probe at a time         | any parsed 200                       |
 * | circuit open  | more than half of the polls fail  | one probe at a time         | probe that does not fail             |
 *
 * First polls go ahead of repeats, but use half of the rate while repeats are due. After a throttle the rate starts low
 * and recovers in steps. A 400 or 404 is uncorroborated while no call of the source gets a parsed 200.
 *
 * Trouble of calls that never answered closes the source only if more than one account has it, or if no other account has
 * calls of the source. A probe is a call that has answered before, where there is one.
 *
 * Answers to polls that were in flight when a mode began are not probes. All state is in memory: after a restart a source
 * is `unproven` until it answers. Where several instances poll a source, each has a grant of its rate, one of them probes,
 * and each adopts the suspensions and throttles of the others.
 */
export class SourceGate<Entry extends QueuedPoll> {
  readonly queue = new FairPollQueue<Entry>();
  /** Rate, load and interval; callers use it directly. */
  readonly rate: PollRate;
  readonly #options: SourceGateOptions;
  readonly #maxInFlight: number;
  readonly #circuit: CircuitBreaker;
  readonly #suspension = new SourceSuspension<Entry>();
  readonly #uncorroborated: UncorroboratedCalls<Entry>;
  #remoteUncorroborated = 0;
  #lastUnknownStatus: string | null = null;
  #remoteUnknownStatus: string | null = null;
  #inFlight = 0;
  #lastGoodMonotonicMs = -Infinity;
  /** Call of the last parsed 200 here, and time of the last one by any other call. */
  #lastGoodEntry: Entry | null = null;
  #otherGoodMonotonicMs = -Infinity;
  #stateSinceMs: number | null = null;
  #lastState: SourceStateName = "unproven";

  constructor(options: SourceGateOptions) {
    this.#options = options;
    this.#maxInFlight = options.maxInFlight ?? maxInFlightDefault;
    this.rate = new PollRate({ maxPollsPerSecond: options.source.maxPollsPerSecond, intervalMinMs: options.intervalMinMs });
    if (options.grantPerSecond !== undefined) this.rate.setGrant(options.grantPerSecond);
    const isAlone = (accountId: string) => this.rate.isAlone(accountId);
    this.#circuit = new CircuitBreaker(isAlone);
    this.#uncorroborated = new UncorroboratedCalls(isAlone);
  }

  /** Whether the calls exist only in this process (sandbox). */
  get isScripted(): boolean {
    return this.#options.source.kind === "sandbox";
  }

  /** Wall time of the last parsed 200, computed from the monotonic clock so that setting the wall clock does not age it. */
  get lastGoodPollAtMs(): number | null {
    const { clock } = this.#options;
    if (this.#lastGoodMonotonicMs === -Infinity) return null;
    return Math.round(clock.nowMs() - (clock.monotonicMs() - this.#lastGoodMonotonicMs));
  }

  /** Whether only probes, or no polls at all, may start. */
  get isClosed(): boolean {
    return this.#suspension.reason !== null || this.rate.isThrottled(this.#options.clock.monotonicMs());
  }

  get isMisconfigured(): boolean {
    return this.#suspension.reason === "misconfigured";
  }

  /** Whether the source is suspended by 401 or 403. */
  get #isRefusal(): boolean {
    return this.#suspension.reason === "unauthorized" || this.#suspension.reason === "forbidden";
  }

  /** Takes the next call to poll; `null` if none may be polled now. The caller passes every taken entry to `record` once. */
  next(): Entry | null {
    const nowMs = this.#options.clock.monotonicMs();
    if (this.#inFlight >= this.#maxInFlight || this.rate.waitMs(nowMs) > 0) return null;
    if (this.triggersWaiting > 0 && !this.#triggerWasLast) return null;
    const entry = this.#suspension.reason === null ? this.#nextOpen(nowMs) : this.#nextProbe(nowMs);
    if (entry === null) return null;
    this.#inFlight += 1;
    this.#triggerWasLast = false;
    this.rate.record(nowMs, { isFirstPoll: entry.isFirstPoll, areRepeatsDue: this.queue.repeatCount > 0 });
    return entry;
  }

  /** Takes a token of the rate for the immediate second try inside a poll. */
  takeToken(): boolean {
    const nowMs = this.#options.clock.monotonicMs();
    if (this.isClosed || this.rate.waitMs(nowMs) > 0) return false;
    this.rate.record(nowMs, { isFirstPoll: false });
    return true;
  }

  /** Number of triggers that wait for a turn. One has the next token, unless one had the last, so that neither polls nor triggers starve. */
  triggersWaiting = 0;
  #triggerWasLast = false;

  /** Takes a token of the rate for a trigger, and returns 0; else the time to wait. `null` while the source is closed to all but probes. */
  takeTriggerTurn(): number | null {
    if (this.#suspension.reason !== null) return null;
    const nowMs = this.#options.clock.monotonicMs();
    const waitMs = this.rate.waitMs(nowMs);
    if (waitMs > 0) return Math.max(coalesceMs, waitMs);
    this.rate.record(nowMs, { isFirstPoll: false });
    this.#triggerWasLast = true;
    return 0;
  }

  /** Time until `next` may return an entry; `null` if it cannot before a poll ends or an entry is added. */
  get waitMs(): number | null {
    if (this.queue.size === 0 || this.#inFlight >= this.#maxInFlight || this.rate.grantPerSecond === 0) return null;
    if (this.#suspension.isProbing || (this.#suspension.reason !== null && !this.#suspension.mayProbe)) return null;
    const nowMs = this.#options.clock.monotonicMs();
    return Math.max(coalesceMs, this.#suspension.probeWaitMs(nowMs), this.rate.waitMs(nowMs));
  }

  /**
   * Returns the observation as it counts. A 403 while another call of the source answers concerns its call alone, which
   * backs off as after any other failure.
   */
  attribute(entry: Entry, observation: Observation): Observation {
    if (observation.kind !== "unauthorized" || observation.statusCode !== 403 || this.#suspension.reason !== null) return observation;
    const otherGoodMs = this.#lastGoodEntry === entry ? this.#otherGoodMonotonicMs : this.#lastGoodMonotonicMs;
    const isOfCall = this.#options.clock.monotonicMs() - otherGoodMs <= forbiddenCallMs;
    return isOfCall ? { kind: "failed", code: "unexpected_status", detail: "answered 403" } : observation;
  }

  /** Applies the answer of a poll; called once for every entry that `next` returned. */
  record(entry: Entry, observation: Observation): SourceChange {
    const nowMs = this.#options.clock.monotonicMs();
    const wasProbe = this.#suspension.record(entry);
    const { accountId, hasAnswered } = entry;
    this.#inFlight -= 1;
    switch (observation.kind) {
      case "unauthorized":
        if (wasProbe) this.#suspension.postponeProbe(nowMs);
        return this.#suspend(observation.statusCode === 401 ? "unauthorized" : "forbidden", nowMs);
      case "rate_limited":
        if (wasProbe) this.#suspension.postponeProbe(nowMs);
        this.rate.limit(observation.retryAfterMs, nowMs);
        this.#options.onShared?.("throttle");
        return "none";
      case "failed":
        if (wasProbe && this.#isRefusal && answeredCodes.has(observation.code)) return this.#resume(nowMs);
        if (wasProbe) this.#suspension.postponeProbe(nowMs);
        if (this.#suspension.reason === null && this.#circuit.record({ failed: true, accountId, hasAnswered }, nowMs))
          this.#suspend("upstream_errors", nowMs);
        return "none";
      case "status":
        if (!observation.isMapped) this.#lastUnknownStatus = observation.status;
        this.#recordGood(entry, nowMs);
        this.rate.recordSuccess();
        this.#uncorroborated.clear();
        this.#circuit.record({ failed: false, accountId, hasAnswered }, nowMs);
        return wasProbe || this.isMisconfigured ? this.#resume(nowMs) : "none";
      case "not_found":
      case "rejected":
        this.#circuit.record({ failed: false, accountId, hasAnswered }, nowMs);
        if (!wasProbe) return "none";
        if (!this.isMisconfigured) return this.#resume(nowMs);
        this.#suspension.postponeProbe(nowMs);
        return "none";
    }
  }

  /** Takes back an entry whose poll could not be started by this process. The health of the source stays unchanged. */
  recordNotStarted(entry: Entry): void {
    const wasProbe = this.#suspension.record(entry);
    this.#inFlight -= 1;
    if (wasProbe) this.#suspension.repeatProbe(this.#options.clock.monotonicMs());
  }

  /**
   * Counts a call about to end with 400 or 404 while no other call of the source succeeds. After ten that count, the source
   * is treated as misconfigured.
   */
  recordUncorroboratedFailure(entry: Entry): SourceChange {
    this.#uncorroborated.add(entry);
    if (this.#uncorroborated.count + this.#remoteUncorroborated < misconfiguredCalls) return "none";
    return this.#suspend("misconfigured", this.#options.clock.monotonicMs());
  }

  clearUncorroborated(entry: Entry): void {
    this.#uncorroborated.delete(entry);
  }

  /** Lets a throttled rate recover; called about once a second. */
  tick(): void {
    this.rate.tick(this.#options.clock.monotonicMs(), this.queue.repeatCount);
  }

  /** Returns how long the oldest due poll has been due; 0 if none is. */
  oldestDueMs(): number {
    const nowMs = this.#options.clock.monotonicMs();
    let oldestMs = 0;
    for (const call of this.queue.heads()) oldestMs = Math.max(oldestMs, nowMs - call.dueAtMonotonicMs);
    return oldestMs;
  }

  /** Returns this instance's part of the source's state; the next heartbeat publishes it. */
  share(): GateShare {
    const { polls, failures } = this.#circuit.counts(this.#options.clock.monotonicMs());
    const { lastGoodPollAtMs } = this;
    const { calls, soleAccountId } = this.rate;
    const uncorroborated = this.#uncorroborated.count;
    const lastUnknownStatus = this.#lastUnknownStatus;
    return { calls, soleAccountId, uncorroborated, recentPolls: polls, recentFailures: failures, lastGoodPollAtMs, lastUnknownStatus };
  }

  /** Applies the state of the source at all other instances, as of a heartbeat. */
  applyRemoteShares(remote: GateShare): SourceChange {
    const nowMs = this.#options.clock.monotonicMs();
    this.rate.applyRemoteCalls(remote.calls, remote.soleAccountId);
    this.#remoteUncorroborated = remote.uncorroborated;
    this.#remoteUnknownStatus = remote.lastUnknownStatus;
    if (remote.lastGoodPollAtMs !== null) {
      const goodMonotonicMs = nowMs - (this.#options.clock.nowMs() - remote.lastGoodPollAtMs);
      // A good poll of any instance corroborates the source for all.
      if (goodMonotonicMs > this.#lastGoodMonotonicMs) {
        this.#lastGoodMonotonicMs = goodMonotonicMs;
        this.#lastGoodEntry = null;
        this.#uncorroborated.clear();
      }
    }
    const tripped = this.#circuit.applyRemoteShares({ polls: remote.recentPolls, failures: remote.recentFailures }, nowMs);
    return tripped && this.#suspension.reason === null ? this.#suspend("upstream_errors", nowMs) : "none";
  }

  get mayProbe(): boolean {
    return this.#suspension.mayProbe;
  }

  /** Allows or forbids probes; only one instance probes a suspended source. */
  setMayProbe(mayProbe: boolean): void {
    this.#suspension.setMayProbe(mayProbe, this.#options.clock.monotonicMs());
  }

  get suspension(): SharedSuspension | null {
    return this.#suspension.current;
  }

  /** Throttle after a 429: wall time until which no poll starts (may be past), and the fraction of the rate that is allowed afterwards. */
  get throttle(): { readonly untilMs: number; readonly factor: number } {
    const { clock } = this.#options;
    const { untilMs, factor } = this.rate.throttle;
    return { untilMs: Math.round(clock.nowMs() + untilMs - clock.monotonicMs()), factor };
  }

  /** Adopts the suspension of another instance; `null` if it resumed the source. */
  adoptSuspension(suspension: SharedSuspension | null): SourceChange {
    const nowMs = this.#options.clock.monotonicMs();
    if (suspension !== null && suspension.reason === this.#suspension.reason) {
      this.#suspension.restoreTimes(suspension);
      return "none";
    }
    const ended = this.#suspension.end();
    if (ended !== null) this.#circuit.reset(nowMs);
    const begun = suspension === null ? null : this.#suspension.begin(suspension, nowMs);
    return ended === "corroborated" ? ended : (begun ?? ended ?? "none");
  }

  /** Adopts the throttle of another instance after a 429. */
  adoptThrottle({ untilMs, factor }: { readonly untilMs: number; readonly factor: number }): void {
    const { clock } = this.#options;
    const nowMs = clock.monotonicMs();
    this.rate.adoptThrottle(nowMs + untilMs - clock.nowMs(), factor, nowMs);
  }

  /** Returns the health with the interval of the most stretched account. */
  health(): SourceHealth {
    const { source, clock } = this.#options;
    const intervalMs = this.rate.longestIntervalMs;
    const { state, reason } = this.#state(intervalMs);
    if (state !== this.#lastState) {
      this.#lastState = state;
      this.#stateSinceMs = clock.nowMs();
    }
    return {
      name: source.name,
      kind: source.kind,
      state,
      reason,
      sinceMs: this.#suspension.current?.sinceMs ?? this.#stateSinceMs,
      lastGoodPollAtMs: this.lastGoodPollAtMs,
      lastUnknownStatus: this.#lastUnknownStatus ?? this.#remoteUnknownStatus,
      intervalMs: Math.round(intervalMs),
    };
  }

  /** Returns the health as one account sees it, with the interval of its own calls. */
  healthFor(accountId: string): SourceHealth {
    const health = this.health();
    const intervalMs = this.rate.intervalMs(accountId);
    const { state, reason } = this.#state(intervalMs);
    const sinceMs = state === health.state ? health.sinceMs : null;
    return { ...health, state, reason, sinceMs, intervalMs: Math.round(intervalMs) };
  }

  #state(intervalMs: number): { state: SourceStateName; reason: string | null } {
    const nowMs = this.#options.clock.monotonicMs();
    const { reason } = this.#suspension;
    if (reason !== null) return { state: reason === "upstream_errors" ? "circuit_open" : "suspended", reason };
    if (this.rate.throttle.factor < 1 || this.rate.isThrottled(nowMs)) return { state: "slowed", reason: "rate_limited" };
    if (intervalMs > this.#options.intervalMaxMs) return { state: "slowed", reason: "interval" };
    return nowMs - this.#lastGoodMonotonicMs > this.#options.corroborationMs
      ? { state: "unproven", reason: null }
      : { state: "ok", reason: null };
  }

  #nextOpen(nowMs: number): Entry | null {
    const { queue } = this;
    const firstsMayGo = queue.repeatCount === 0 || this.rate.mayPollFirst(nowMs);
    return (firstsMayGo ? queue.nextFirst() : null) ?? queue.nextRepeat();
  }

  #nextProbe(nowMs: number): Entry | null {
    return this.#suspension.nextProbe(nowMs, () => this.queue.nextProbe());
  }

  #recordGood(entry: Entry, nowMs: number): void {
    if (this.#lastGoodEntry !== entry) this.#otherGoodMonotonicMs = this.#lastGoodMonotonicMs;
    this.#lastGoodEntry = entry;
    this.#lastGoodMonotonicMs = nowMs;
  }

  #suspend(reason: SharedSuspension["reason"], nowMs: number): SourceChange {
    const change = this.#suspension.begin({ reason, sinceMs: this.#options.clock.nowMs() }, nowMs);
    if (change !== null) this.#options.onShared?.("suspension");
    return change ?? "none";
  }

  #resume(nowMs: number): SourceChange {
    const change = this.#suspension.end();
    if (change === null) return "none";
    this.#circuit.reset(nowMs);
    this.#options.onShared?.("suspension");
    return change;
  }
}

/** Part of a gate that the coordination of instances uses. */
export type SharedGate = Pick<
  SourceGate<QueuedPoll>,
  | "rate"
  | "isScripted"
  | "oldestDueMs"
  | "share"
  | "applyRemoteShares"
  | "setMayProbe"
  | "suspension"
  | "throttle"
  | "adoptSuspension"
  | "adoptThrottle"
>;

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

export type SourceGateOptions = {
  readonly source: Source;
  readonly clock: Clock;
  readonly intervalMinMs: number;
  readonly intervalMaxMs: number;
  /** How long a parsed 200 counts as proof that the source is the right one. */
  readonly corroborationMs: number;
  readonly maxInFlight?: number;
  /** Polls a second of this instance to begin with; left out: all that the source allows. */
  readonly grantPerSecond?: number;
  /** Something changed here that holds for all instances. */
  readonly onShared?: (part: "suspension" | "throttle") => void;
};

/** What one instance, or all others together, have of a source. */
export type GateShare = Omit<SourceShare, "ratePerSecond">;

const maxInFlightDefault = 128;
const misconfiguredCalls = 10;
/** What the rate holds back goes out in the same bursts as what falls due (a slot of the wheel): one by one costs twice the time. */
const coalesceMs = 16;
/** Answers that are no status, but none that says who may ask either. */
const answeredCodes: ReadonlySet<PollFailureCode> = new Set<PollFailureCode>(["redirect", "not_json", "too_large", "unexpected_status"]);

/**
 * Who may be polled at one source, and when.
 *
 * open          -> within the rate; first polls ahead of repeats, on half of the rate while repeats are due
 * throttled     -> after a 429: nothing until `Retry-After` (or a backoff), then a lower rate that recovers
 * suspended     -> 401/403, or ten calls that only 400/404 without a witness (`misconfigured`): one probe at a time
 * circuit open  -> too many failures: one probe at a time
 *
 * A probe's answer that is none of 401, 403, 429 and 5xx ends a suspension by 401 or 403; an open circuit takes one that
 * is no failure at all, `misconfigured` a parsed 200.
 * Answers to polls that were on the wire when it began are no probes.
 * All of it is memory: after a restart the source is `unproven` until it answers. Where several instances poll a source,
 * each has a grant of its rate, one of them probes, and what one learns the others adopt.
 */
export class SourceGate<Entry extends QueuedPoll> {
  readonly queue = new FairPollQueue<Entry>();
  readonly #options: SourceGateOptions;
  readonly #maxInFlight: number;
  readonly #pace: PollRate;
  readonly #circuit = new CircuitBreaker();
  readonly #suspension = new SourceSuspension<Entry>();
  readonly #uncorroborated = new Set<Entry>();
  #remoteUncorroborated = 0;
  #inFlight = 0;
  #lastGoodMonotonicMs = -Infinity;
  #stateSinceMs: number | null = null;
  #lastState: SourceStateName = "unproven";

  constructor(options: SourceGateOptions) {
    this.#options = options;
    this.#maxInFlight = options.maxInFlight ?? maxInFlightDefault;
    this.#pace = new PollRate({ maxPollsPerSecond: options.source.maxPollsPerSecond, intervalMinMs: options.intervalMinMs });
    if (options.grantPerSecond !== undefined) this.#pace.setGrant(options.grantPerSecond);
  }

  /** Of the source, over all instances. */
  get maxPollsPerSecond(): number {
    return this.#pace.maxPollsPerSecond;
  }

  get grantPerSecond(): number {
    return this.#pace.grantPerSecond;
  }

  /** Its calls live in this process, as those of the sandbox do. */
  get isScripted(): boolean {
    return this.#options.source.kind === "sandbox";
  }

  /** As the wall clock stands now: setting it makes a witness neither older nor younger. */
  get lastGoodPollAtMs(): number | null {
    const { clock } = this.#options;
    if (this.#lastGoodMonotonicMs === -Infinity) return null;
    return Math.round(clock.nowMs() - (clock.monotonicMs() - this.#lastGoodMonotonicMs));
  }

  /** Nothing but probes goes out, or nothing at all. */
  get isClosed(): boolean {
    return this.#suspension.reason !== null || this.#pace.isThrottled(this.#options.clock.monotonicMs());
  }

  get isMisconfigured(): boolean {
    return this.#suspension.reason === "misconfigured";
  }

  /** Suspended by 401 or 403. */
  get #isRefusal(): boolean {
    return this.#suspension.reason === "unauthorized" || this.#suspension.reason === "forbidden";
  }

  /** The poll interval in force: the least one, stretched evenly when the rate does not allow it. */
  get intervalMs(): number {
    return this.#pace.intervalMs;
  }

  /** Whether so many more calls would stretch the interval past half an hour. */
  isSaturatedBy(additional: number): boolean {
    return this.#pace.isSaturatedBy(additional);
  }

  /** Another rate from now on; what is known of the source stays. */
  setMaxPollsPerSecond(maxPollsPerSecond: number): void {
    this.#pace.setMaxPollsPerSecond(maxPollsPerSecond);
  }

  /** Counts a call in or out of the load; `minIntervalMs` 0: it is polled at the source's own interval. */
  changeLoad(minIntervalMs: number, delta: 1 | -1): void {
    this.#pace.changeLoad(minIntervalMs, delta);
  }

  /** The next one to poll now; null: nobody, or not yet. Every entry taken must come back through `finished`. */
  next(): Entry | null {
    const nowMs = this.#options.clock.monotonicMs();
    if (this.#inFlight >= this.#maxInFlight || this.#pace.waitMs(nowMs) > 0) return null;
    const entry = this.#suspension.reason === null ? this.#nextOpen(nowMs) : this.#nextProbe(nowMs);
    if (entry === null) return null;
    this.#inFlight += 1;
    this.#pace.record(nowMs, entry.isFirstPoll);
    return entry;
  }

  /** For the immediate second try inside a poll. */
  takeToken(): boolean {
    const nowMs = this.#options.clock.monotonicMs();
    if (this.isClosed || this.#pace.waitMs(nowMs) > 0) return false;
    this.#pace.record(nowMs, false);
    return true;
  }

  /** How long until `take` may give something; null: not before something finishes or is added. */
  get waitMs(): number | null {
    if (this.queue.size === 0 || this.#inFlight >= this.#maxInFlight || this.#pace.grantPerSecond === 0) return null;
    if (this.#suspension.isProbing || (this.#suspension.reason !== null && !this.#suspension.mayProbe)) return null;
    const nowMs = this.#options.clock.monotonicMs();
    return Math.max(coalesceMs, this.#suspension.probeWaitMs(nowMs), this.#pace.waitMs(nowMs));
  }

  /** Takes the answer of a poll into account; once for every entry taken. */
  record(entry: Entry, observation: Observation): SourceChange {
    const nowMs = this.#options.clock.monotonicMs();
    const wasProbe = this.#suspension.record(entry);
    this.#inFlight -= 1;
    switch (observation.kind) {
      case "unauthorized":
        if (wasProbe) this.#suspension.postponeProbe(nowMs);
        return this.#suspend(observation.statusCode === 401 ? "unauthorized" : "forbidden", nowMs);
      case "rate_limited":
        if (wasProbe) this.#suspension.postponeProbe(nowMs);
        this.#pace.limit(observation.retryAfterMs, nowMs);
        this.#options.onShared?.("throttle");
        return "none";
      case "failed":
        if (wasProbe && this.#isRefusal && answeredCodes.has(observation.code)) return this.#resume(nowMs);
        if (wasProbe) this.#suspension.postponeProbe(nowMs);
        if (this.#suspension.reason === null && this.#circuit.record(true, nowMs)) this.#suspend("upstream_errors", nowMs);
        return "none";
      case "status":
        this.#lastGoodMonotonicMs = nowMs;
        this.#pace.recordSuccess();
        this.#uncorroborated.clear();
        this.#circuit.record(false, nowMs);
        return wasProbe || this.isMisconfigured ? this.#resume(nowMs) : "none";
      case "not_found":
      case "rejected":
        this.#circuit.record(false, nowMs);
        if (!wasProbe) return "none";
        if (!this.isMisconfigured) return this.#resume(nowMs);
        this.#suspension.postponeProbe(nowMs);
        return "none";
    }
  }

  /** An entry taken was not asked for, for want of something here: nothing is known that was not known before. */
  recordNotStarted(entry: Entry): void {
    const wasProbe = this.#suspension.record(entry);
    this.#inFlight -= 1;
    if (wasProbe) this.#suspension.repeatProbe(this.#options.clock.monotonicMs());
  }

  /** A call would end by 400 or 404 with nobody to vouch for the source. Ten such calls say that the source is wrong, not they. */
  recordUncorroboratedFailure(entry: Entry): SourceChange {
    this.#uncorroborated.add(entry);
    if (this.#uncorroborated.size + this.#remoteUncorroborated < misconfiguredCalls) return "none";
    return this.#suspend("misconfigured", this.#options.clock.monotonicMs());
  }

  clearUncorroborated(entry: Entry): void {
    this.#uncorroborated.delete(entry);
  }

  /** The rate recovers a little with every call of this, about once a second. */
  tick(): void {
    this.#pace.tick(this.#options.clock.monotonicMs());
  }

  /** What this instance may poll a second; 0: nothing. At most the source's rate. */
  setGrant(ratePerSecond: number): void {
    this.#pace.setGrant(ratePerSecond);
  }

  /** What this instance tells the others of the source. */
  share(): GateShare {
    const { polls, failures } = this.#circuit.counts(this.#options.clock.monotonicMs());
    const { lastGoodPollAtMs } = this;
    const uncorroborated = this.#uncorroborated.size;
    return { calls: this.#pace.calls, uncorroborated, recentPolls: polls, recentFailures: failures, lastGoodPollAtMs };
  }

  /** What the others have of it, told at a heartbeat. */
  applyRemoteShares(others: GateShare): SourceChange {
    const nowMs = this.#options.clock.monotonicMs();
    this.#pace.applyRemoteCalls(others.calls);
    this.#remoteUncorroborated = others.uncorroborated;
    if (others.lastGoodPollAtMs !== null) {
      const goodMonotonicMs = nowMs - (this.#options.clock.nowMs() - others.lastGoodPollAtMs);
      // A witness anywhere is one everywhere.
      if (goodMonotonicMs > this.#lastGoodMonotonicMs) {
        this.#lastGoodMonotonicMs = goodMonotonicMs;
        this.#uncorroborated.clear();
      }
    }
    const tripped = this.#circuit.applyRemoteShares({ polls: others.recentPolls, failures: others.recentFailures }, nowMs);
    return tripped && this.#suspension.reason === null ? this.#suspend("upstream_errors", nowMs) : "none";
  }

  get mayProbe(): boolean {
    return this.#suspension.mayProbe;
  }

  /** False while another instance probes a source that nobody polls. */
  setMayProbe(mayProbe: boolean): void {
    this.#suspension.mayProbe = mayProbe;
  }

  get suspension(): SharedSuspension | null {
    return this.#suspension.current;
  }

  /** Until when (wall time, may be past) nothing goes out after a 429, and the part of the rate that is left then. */
  get throttle(): { readonly untilMs: number; readonly factor: number } {
    const { clock } = this.#options;
    const { untilMs, factor } = this.#pace.throttle;
    return { untilMs: Math.round(clock.nowMs() + untilMs - clock.monotonicMs()), factor };
  }

  /** Another instance suspended or resumed the source: so it is here. */
  adoptSuspension(suspension: SharedSuspension | null): SourceChange {
    const nowMs = this.#options.clock.monotonicMs();
    if (suspension !== null && suspension.reason === this.#suspension.reason) {
      this.#suspension.restoreTimes(suspension);
      return "none";
    }
    const ended = this.#suspension.end();
    if (ended !== null) this.#circuit.reset(nowMs);
    const begun = suspension === null ? null : this.#suspension.begin(suspension, nowMs);
    return ended === "vindicated" ? ended : (begun ?? ended ?? "none");
  }

  /** Another instance got a 429. */
  adoptThrottle({ untilMs, factor }: { readonly untilMs: number; readonly factor: number }): void {
    const { clock } = this.#options;
    const nowMs = clock.monotonicMs();
    this.#pace.adoptThrottle(nowMs + untilMs - clock.nowMs(), factor, nowMs);
  }

  health(): SourceHealth {
    const { source, clock } = this.#options;
    const { state, reason } = this.#state();
    if (state !== this.#lastState) {
      this.#lastState = state;
      this.#stateSinceMs = clock.nowMs();
    }
    const intervalMs = Math.round(this.#pace.shownIntervalMs);
    return {
      name: source.name,
      kind: source.kind,
      state,
      reason,
      sinceMs: this.#suspension.current?.sinceMs ?? this.#stateSinceMs,
      lastGoodPollAtMs: this.lastGoodPollAtMs,
      intervalMs,
    };
  }

  #state(): { state: SourceStateName; reason: string | null } {
    const nowMs = this.#options.clock.monotonicMs();
    const { reason } = this.#suspension;
    if (reason !== null) return { state: reason === "upstream_errors" ? "circuit_open" : "suspended", reason };
    if (this.#pace.throttle.factor < 1 || this.#pace.isThrottled(nowMs)) return { state: "slowed", reason: "rate_limited" };
    if (this.#pace.shownIntervalMs > this.#options.intervalMaxMs) return { state: "slowed", reason: "interval" };
    return nowMs - this.#lastGoodMonotonicMs > this.#options.corroborationMs
      ? { state: "unproven", reason: null }
      : { state: "ok", reason: null };
  }

  #nextOpen(nowMs: number): Entry | null {
    const { queue } = this;
    const firstsMayGo = queue.repeatCount === 0 || this.#pace.mayPollFirst(nowMs);
    return (firstsMayGo ? queue.nextFirst() : null) ?? queue.nextRepeat();
  }

  #nextProbe(nowMs: number): Entry | null {
    return this.#suspension.nextProbe(nowMs, () => this.queue.nextFirst() ?? this.queue.nextRepeat());
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

/** The part of it that other instances have a part in. */
export type SharedGate = Pick<
  SourceGate<QueuedPoll>,
  | "maxPollsPerSecond"
  | "isScripted"
  | "setGrant"
  | "share"
  | "applyRemoteShares"
  | "setMayProbe"
  | "suspension"
  | "throttle"
  | "adoptSuspension"
  | "adoptThrottle"
>;

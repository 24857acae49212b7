import type { Observation, PollFailureCode } from "../domain/call.ts";
import type { Source, SourceHealth, SourceStateName } from "../domain/source.ts";
import type { Clock } from "../ports/clock.ts";
import { SourceCircuit } from "./source-circuit.ts";
import { SourceLoad } from "./source-load.ts";
import { SourceQueue } from "./source-queue.ts";
import type { Queued } from "./source-queue.ts";
import { SourceRate } from "./source-rate.ts";

export type SourceGateOptions = {
  readonly source: Source;
  readonly clock: Clock;
  readonly intervalMinMs: number;
  readonly intervalMaxMs: number;
  /** How long a parsed 200 counts as proof that the source is the right one. */
  readonly witnessMs: number;
  readonly maxInFlight?: number;
};

/** What an answer did to the source. `vindicated`: it goes on, and what it denied before says nothing about the calls. */
export type SourceChange = "none" | "suspended" | "resumed" | "vindicated";

type Suspension = {
  readonly reason: "unauthorized" | "forbidden" | "misconfigured" | "upstream_errors";
  probeInMs: number;
  probeAtMonotonicMs: number;
};

const maxInFlightDefault = 128;
const probeMinMs = 5000;
const probeMaxMs = 60_000;
const throttleMinMs = 1000;
const throttleMaxMs = 60_000;
const minRateFactor = 1 / 32;
/** A source that answered 429 gets a sixteenth of its rate back in this time. */
const recoveryStepMs = 2000;
const saturatedIntervalMs = 30 * 60 * 1000;
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
 * All of it is memory: after a restart the source is `unproven` until it answers.
 */
export class SourceGate<Entry extends Queued> {
  readonly queue = new SourceQueue<Entry>();
  readonly #options: SourceGateOptions;
  readonly #maxInFlight: number;
  readonly #rate: SourceRate;
  readonly #firstsRate: SourceRate;
  readonly #load = new SourceLoad();
  readonly #circuit = new SourceCircuit();
  readonly #unwitnessed = new Set<Entry>();
  #suspension: Suspension | null = null;
  #probe: Entry | null = null;
  #inFlight = 0;
  #intervalMs: number;
  #rateFactor = 1;
  #rateChangedAtMonotonicMs = 0;
  #throttledUntilMonotonicMs = -Infinity;
  #throttles = 0;
  #lastGoodMonotonicMs = -Infinity;
  #stateSinceMs: number | null = null;
  #lastState: SourceStateName = "unproven";

  constructor(options: SourceGateOptions) {
    this.#options = options;
    this.#maxInFlight = options.maxInFlight ?? maxInFlightDefault;
    this.#rate = new SourceRate(options.source.maxPollsPerSecond);
    this.#firstsRate = new SourceRate(options.source.maxPollsPerSecond / 2);
    this.#intervalMs = options.intervalMinMs;
  }

  /** As the wall clock stands now: setting it makes a witness neither older nor younger. */
  get lastGoodPollAtMs(): number | null {
    const { clock } = this.#options;
    if (this.#lastGoodMonotonicMs === -Infinity) return null;
    return Math.round(clock.nowMs() - (clock.monotonicMs() - this.#lastGoodMonotonicMs));
  }

  /** Nothing but probes goes out, or nothing at all. */
  get isClosed(): boolean {
    return this.#suspension !== null || this.#options.clock.monotonicMs() < this.#throttledUntilMonotonicMs;
  }

  get isMisconfigured(): boolean {
    return this.#suspension?.reason === "misconfigured";
  }

  /** Suspended by 401 or 403. */
  get #isRefusal(): boolean {
    return this.#suspension?.reason === "unauthorized" || this.#suspension?.reason === "forbidden";
  }

  /** The poll interval in force: the least one, stretched evenly when the rate does not allow it. */
  get intervalMs(): number {
    return this.#intervalMs;
  }

  /** Whether so many more calls would stretch the interval past half an hour. */
  isSaturatedBy(additional: number): boolean {
    // Past the longest interval that an age asks for, all calls weigh the same.
    return ((this.#load.calls + additional) / this.#options.source.maxPollsPerSecond) * 1000 > saturatedIntervalMs;
  }

  /** Counts a call in or out of the load; `minIntervalMs` 0: it is polled at the source's own interval. */
  changeLoad(minIntervalMs: number, delta: 1 | -1): void {
    this.#load.change(minIntervalMs, delta);
    this.#stretch();
  }

  /** The next one to poll now; null: nobody, or not yet. Every entry taken must come back through `finished`. */
  take(): Entry | null {
    const nowMs = this.#options.clock.monotonicMs();
    if (this.#inFlight >= this.#maxInFlight || nowMs < this.#throttledUntilMonotonicMs || this.#rate.waitMs(nowMs) > 0) return null;
    const entry = this.#suspension === null ? this.#takeOpen(nowMs) : this.#takeProbe(this.#suspension, nowMs);
    if (entry === null) return null;
    this.#inFlight += 1;
    this.#rate.note(nowMs);
    if (entry.isFirstPoll) this.#firstsRate.note(nowMs);
    return entry;
  }

  /** For the immediate second try inside a poll. */
  takeToken(): boolean {
    const nowMs = this.#options.clock.monotonicMs();
    if (this.isClosed || this.#rate.waitMs(nowMs) > 0) return false;
    this.#rate.note(nowMs);
    return true;
  }

  /** How long until `take` may give something; null: not before something finishes or is added. */
  get waitMs(): number | null {
    if (this.queue.size === 0 || this.#inFlight >= this.#maxInFlight || this.#probe !== null) return null;
    const nowMs = this.#options.clock.monotonicMs();
    const probeMs = (this.#suspension?.probeAtMonotonicMs ?? 0) - nowMs;
    return Math.max(coalesceMs, probeMs, this.#rate.waitMs(nowMs), this.#throttledUntilMonotonicMs - nowMs);
  }

  /** Takes the answer of a poll into account; once for every entry taken. */
  finished(entry: Entry, observation: Observation): SourceChange {
    const nowMs = this.#options.clock.monotonicMs();
    const wasProbe = this.#probe === entry;
    this.#inFlight -= 1;
    if (wasProbe) this.#probe = null;
    switch (observation.kind) {
      case "unauthorized":
        if (wasProbe) this.#postponeProbe(nowMs);
        return this.#suspend(observation.statusCode === 401 ? "unauthorized" : "forbidden", nowMs);
      case "rate_limited":
        if (wasProbe) this.#postponeProbe(nowMs);
        this.#throttle(observation.retryAfterMs, nowMs);
        return "none";
      case "failed":
        if (wasProbe && this.#isRefusal && answeredCodes.has(observation.code)) return this.#resume();
        if (wasProbe) this.#postponeProbe(nowMs);
        if (this.#suspension === null && this.#circuit.record(true, nowMs)) this.#suspend("upstream_errors", nowMs);
        return "none";
      case "status":
        this.#lastGoodMonotonicMs = nowMs;
        this.#throttles = 0;
        this.#unwitnessed.clear();
        this.#circuit.record(false, nowMs);
        return wasProbe || this.isMisconfigured ? this.#resume() : "none";
      case "not_found":
      case "rejected":
        this.#circuit.record(false, nowMs);
        if (!wasProbe) return "none";
        if (!this.isMisconfigured) return this.#resume();
        this.#postponeProbe(nowMs);
        return "none";
    }
  }

  /** A call would end by 400 or 404 with nobody to vouch for the source. Ten such calls say that the source is wrong, not they. */
  noteUnwitnessed(entry: Entry): SourceChange {
    this.#unwitnessed.add(entry);
    if (this.#unwitnessed.size < misconfiguredCalls) return "none";
    return this.#suspend("misconfigured", this.#options.clock.monotonicMs());
  }

  forgetUnwitnessed(entry: Entry): void {
    this.#unwitnessed.delete(entry);
  }

  /** The rate recovers a little with every call of this, about once a second. */
  tick(): void {
    const nowMs = this.#options.clock.monotonicMs();
    if (this.#rateFactor >= 1 || nowMs < this.#throttledUntilMonotonicMs || nowMs - this.#rateChangedAtMonotonicMs < recoveryStepMs) return;
    this.#setRateFactor(Math.min(1, this.#rateFactor + 1 / 16), nowMs);
  }

  health(): SourceHealth {
    const { source, clock } = this.#options;
    const { state, reason } = this.#state();
    if (state !== this.#lastState) {
      this.#lastState = state;
      this.#stateSinceMs = clock.nowMs();
    }
    const intervalMs = Math.round(this.intervalMs);
    return {
      name: source.name,
      kind: source.kind,
      state,
      reason,
      sinceMs: this.#stateSinceMs,
      lastGoodPollAtMs: this.lastGoodPollAtMs,
      intervalMs,
    };
  }

  #state(): { state: SourceStateName; reason: string | null } {
    const nowMs = this.#options.clock.monotonicMs();
    if (this.#suspension?.reason === "upstream_errors") return { state: "circuit_open", reason: "upstream_errors" };
    if (this.#suspension !== null) return { state: "suspended", reason: this.#suspension.reason };
    if (this.#rateFactor < 1 || nowMs < this.#throttledUntilMonotonicMs) return { state: "slowed", reason: "rate_limited" };
    if (this.#intervalMs > this.#options.intervalMaxMs) return { state: "slowed", reason: "interval" };
    return nowMs - this.#lastGoodMonotonicMs > this.#options.witnessMs
      ? { state: "unproven", reason: null }
      : { state: "ok", reason: null };
  }

  #takeOpen(nowMs: number): Entry | null {
    const { queue } = this;
    const firstsMayGo = queue.repeatCount === 0 || this.#firstsRate.waitMs(nowMs) === 0;
    return (firstsMayGo ? queue.takeFirst() : null) ?? queue.takeRepeat();
  }

  #takeProbe(suspension: Suspension, nowMs: number): Entry | null {
    if (this.#probe !== null || nowMs < suspension.probeAtMonotonicMs) return null;
    this.#probe = this.queue.takeFirst() ?? this.queue.takeRepeat();
    return this.#probe;
  }

  #suspend(reason: Suspension["reason"], nowMs: number): SourceChange {
    const before = this.#suspension?.reason ?? null;
    // An open circuit is no suspension that anybody was told of; every other one stands as it is.
    if (before !== null && (before !== "upstream_errors" || reason === "upstream_errors")) return "none";
    this.#suspension = { reason, probeInMs: probeMinMs, probeAtMonotonicMs: nowMs + probeMinMs };
    return reason === "upstream_errors" ? "none" : "suspended";
  }

  #postponeProbe(nowMs: number): void {
    const suspension = this.#suspension;
    if (suspension === null) return;
    suspension.probeInMs = Math.min(suspension.probeInMs * 2, probeMaxMs);
    suspension.probeAtMonotonicMs = nowMs + suspension.probeInMs;
  }

  #resume(): SourceChange {
    const reason = this.#suspension?.reason ?? null;
    this.#suspension = null;
    this.#probe = null;
    if (reason === null) return "none";
    this.#circuit.reset();
    if (reason === "misconfigured") return "vindicated";
    return reason === "upstream_errors" ? "none" : "resumed";
  }

  #throttle(retryAfterMs: number | null, nowMs: number): void {
    // Answers to polls that were on the wire when the first 429 came say nothing new.
    if (nowMs < this.#throttledUntilMonotonicMs) {
      this.#throttledUntilMonotonicMs = Math.max(this.#throttledUntilMonotonicMs, nowMs + (retryAfterMs ?? 0));
      return;
    }
    const backoffMs = Math.min(throttleMinMs * 2 ** Math.min(this.#throttles, 10), throttleMaxMs);
    this.#throttles += 1;
    this.#throttledUntilMonotonicMs = nowMs + (retryAfterMs ?? backoffMs);
    this.#setRateFactor(Math.max(this.#rateFactor / 2, minRateFactor), nowMs);
  }

  #setRateFactor(factor: number, nowMs: number): void {
    const rate = this.#options.source.maxPollsPerSecond * factor;
    this.#rateFactor = factor;
    this.#rateChangedAtMonotonicMs = nowMs;
    this.#rate.set(rate);
    this.#firstsRate.set(rate / 2);
    this.#stretch();
  }

  #stretch(): void {
    const { source, intervalMinMs } = this.#options;
    this.#intervalMs = Math.max(intervalMinMs, this.#load.intervalMs(source.maxPollsPerSecond * this.#rateFactor));
  }
}

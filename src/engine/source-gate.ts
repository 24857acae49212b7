import type { Observation } from "../domain/call.ts";
import type { Source, SourceHealth, SourceStateName } from "../domain/source.ts";
import type { Clock } from "../ports/clock.ts";
import { SourceCircuit } from "./source-circuit.ts";
import { SourceQueue } from "./source-queue.ts";
import type { Queued } from "./source-queue.ts";
import { TokenBucket } from "./token-bucket.ts";

export type SourceGateOptions = {
  readonly source: Source;
  readonly clock: Clock;
  readonly intervalMinMs: number;
  readonly intervalMaxMs: number;
  /** How long a parsed 200 counts as proof that the source is the right one. */
  readonly witnessMs: number;
  readonly maxInFlight?: number;
};

/** What an answer did to the source. */
export type SourceChange = "none" | "suspended" | "resumed";

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

/**
 * Who may be polled at one source, and when.
 *
 * open          -> tokens of the rate; first polls ahead of repeats, on half of the rate while repeats are due
 * throttled     -> after a 429: nothing until `Retry-After` (or a backoff), then a lower rate that recovers
 * suspended     -> 401/403, or ten calls that only 400/404 without a witness (`misconfigured`): one probe at a time
 * circuit open  -> too many failures: one probe at a time
 *
 * A probe's answer that is none of 401, 403, 429 and a failure ends the suspension; `misconfigured` takes a parsed 200.
 * All of it is memory: after a restart the source is `unproven` until it answers.
 */
export class SourceGate<Entry extends Queued> {
  readonly queue = new SourceQueue<Entry>();
  readonly #options: SourceGateOptions;
  readonly #bucket: TokenBucket;
  readonly #firstBucket: TokenBucket;
  readonly #circuit = new SourceCircuit();
  readonly #unwitnessed = new Set<Entry>();
  #suspension: Suspension | null = null;
  #probing = false;
  #inFlight = 0;
  #rateFactor = 1;
  #rateChangedAtMonotonicMs = 0;
  #throttledUntilMonotonicMs = 0;
  #throttles = 0;
  #lastGoodPollAtMs: number | null = null;
  #lastGoodMonotonicMs = -Infinity;
  #stateSinceMs: number | null = null;
  #lastState: SourceStateName = "unproven";
  /** Calls at the source's own interval, and polls a second of the slower ones. */
  #load = { calls: 0, slowPollsPerSecond: 0 };

  constructor(options: SourceGateOptions) {
    const nowMs = options.clock.monotonicMs();
    this.#options = options;
    this.#bucket = new TokenBucket(options.source.maxPollsPerSecond, nowMs);
    this.#firstBucket = new TokenBucket(options.source.maxPollsPerSecond / 2, nowMs);
  }

  get lastGoodPollAtMs(): number | null {
    return this.#lastGoodPollAtMs;
  }

  /** Nothing but probes goes out. */
  get isClosed(): boolean {
    return this.#suspension !== null;
  }

  get isMisconfigured(): boolean {
    return this.#suspension?.reason === "misconfigured";
  }

  /** The poll interval in force: the least one, stretched evenly when the rate does not allow it. */
  get intervalMs(): number {
    const { source, intervalMinMs } = this.#options;
    const rate = source.maxPollsPerSecond * this.#rateFactor;
    const left = Math.max(rate - this.#load.slowPollsPerSecond, rate / 10);
    return Math.max(intervalMinMs, (this.#load.calls / left) * 1000);
  }

  /** Whether so many more calls would stretch the interval past half an hour. */
  isSaturatedBy(additional: number): boolean {
    return ((this.#load.calls + additional) / this.#options.source.maxPollsPerSecond) * 1000 > saturatedIntervalMs;
  }

  /** Counts a call in or out of the load; `minIntervalMs` 0: it is polled at the source's own interval. */
  changeLoad(minIntervalMs: number, delta: 1 | -1): void {
    if (minIntervalMs === 0) this.#load.calls += delta;
    else this.#load.slowPollsPerSecond += (delta * 1000) / minIntervalMs;
  }

  /** The next one to poll now; null: nobody, or not yet. Every entry taken must come back through `finished`. */
  take(): Entry | null {
    const nowMs = this.#options.clock.monotonicMs();
    if (this.#inFlight >= (this.#options.maxInFlight ?? maxInFlightDefault)) return null;
    const entry = this.#suspension === null ? this.#takeOpen(nowMs) : this.#takeProbe(this.#suspension, nowMs);
    if (entry !== null) this.#inFlight += 1;
    return entry;
  }

  /** For the immediate second try inside a poll. */
  takeToken(): boolean {
    return this.#suspension === null && this.#bucket.take(this.#options.clock.monotonicMs());
  }

  /** How long until `take` may give something; null: not before something finishes or is added. */
  get waitMs(): number | null {
    const nowMs = this.#options.clock.monotonicMs();
    if (this.queue.firstCount + this.queue.repeatCount === 0 || this.#inFlight >= (this.#options.maxInFlight ?? maxInFlightDefault))
      return null;
    if (this.#suspension !== null) return this.#probing ? null : Math.max(1, this.#suspension.probeAtMonotonicMs - nowMs);
    const tokenMs = this.queue.repeatCount > 0 ? this.#bucket.waitMs(nowMs) : Math.max(this.#bucket.waitMs(nowMs), 0);
    return Math.max(1, tokenMs, this.#throttledUntilMonotonicMs - nowMs);
  }

  /** Takes the answer of a poll into account; once for every entry taken. */
  finished(observation: Observation): SourceChange {
    const nowMs = this.#options.clock.monotonicMs();
    this.#inFlight -= 1;
    const wasProbe = this.#probing;
    this.#probing = false;
    switch (observation.kind) {
      case "unauthorized":
        return this.#suspend(observation.statusCode === 401 ? "unauthorized" : "forbidden", nowMs);
      case "rate_limited":
        this.#throttle(observation.retryAfterMs, nowMs);
        if (this.#suspension !== null && wasProbe) this.#postponeProbe(this.#suspension, nowMs);
        return "none";
      case "failed":
        if (this.#suspension !== null) {
          if (wasProbe) this.#postponeProbe(this.#suspension, nowMs);
          return "none";
        }
        if (this.#circuit.record(true, nowMs)) this.#suspend("upstream_errors", nowMs);
        return "none";
      case "status":
        this.#lastGoodPollAtMs = this.#options.clock.nowMs();
        this.#lastGoodMonotonicMs = nowMs;
        this.#throttles = 0;
        this.#unwitnessed.clear();
        this.#circuit.record(false, nowMs);
        return this.#resume();
      case "not_found":
      case "rejected":
        this.#circuit.record(false, nowMs);
        if (this.#suspension?.reason !== "misconfigured") return this.#resume();
        if (wasProbe) this.#postponeProbe(this.#suspension, nowMs);
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
      lastGoodPollAtMs: this.#lastGoodPollAtMs,
      intervalMs,
    };
  }

  #state(): { state: SourceStateName; reason: string | null } {
    const nowMs = this.#options.clock.monotonicMs();
    if (this.#suspension?.reason === "upstream_errors") return { state: "circuit_open", reason: "upstream_errors" };
    if (this.#suspension !== null) return { state: "suspended", reason: this.#suspension.reason };
    if (this.#rateFactor < 1 || nowMs < this.#throttledUntilMonotonicMs) return { state: "slowed", reason: "rate_limited" };
    if (this.intervalMs > this.#options.intervalMaxMs) return { state: "slowed", reason: "interval" };
    return nowMs - this.#lastGoodMonotonicMs > this.#options.witnessMs
      ? { state: "unproven", reason: null }
      : { state: "ok", reason: null };
  }

  #takeOpen(nowMs: number): Entry | null {
    if (nowMs < this.#throttledUntilMonotonicMs || this.#bucket.waitMs(nowMs) > 0) return null;
    const firstsMayGo = this.queue.firstCount > 0 && (this.queue.repeatCount === 0 || this.#firstBucket.waitMs(nowMs) === 0);
    let entry: Entry | null = null;
    if (firstsMayGo) {
      entry = this.queue.takeFirst();
      this.#firstBucket.take(nowMs);
    }
    entry ??= this.queue.takeRepeat() ?? this.queue.takeFirst();
    if (entry !== null) this.#bucket.take(nowMs);
    return entry;
  }

  #takeProbe(suspension: Suspension, nowMs: number): Entry | null {
    if (this.#probing || nowMs < suspension.probeAtMonotonicMs || nowMs < this.#throttledUntilMonotonicMs) return null;
    const entry = this.queue.takeFirst() ?? this.queue.takeRepeat();
    this.#probing = entry !== null;
    return entry;
  }

  #suspend(reason: Suspension["reason"], nowMs: number): SourceChange {
    const before = this.#suspension;
    const wasSuspended = before !== null && before.reason !== "upstream_errors";
    if (before !== null && (before.reason === reason || wasSuspended)) {
      if (nowMs >= before.probeAtMonotonicMs) this.#postponeProbe(before, nowMs);
      return "none";
    }
    this.#suspension = { reason, probeInMs: probeMinMs, probeAtMonotonicMs: nowMs + probeMinMs };
    return reason === "upstream_errors" ? "none" : "suspended";
  }

  #postponeProbe(suspension: Suspension, nowMs: number): void {
    suspension.probeInMs = Math.min(suspension.probeInMs * 2, probeMaxMs);
    suspension.probeAtMonotonicMs = nowMs + suspension.probeInMs;
  }

  #resume(): SourceChange {
    const before = this.#suspension;
    if (before === null) return "none";
    this.#suspension = null;
    this.#circuit.reset();
    return before.reason === "upstream_errors" ? "none" : "resumed";
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
    this.#rateFactor = factor;
    this.#rateChangedAtMonotonicMs = nowMs;
    const rate = this.#options.source.maxPollsPerSecond * factor;
    this.#bucket.setRate(rate, nowMs);
    this.#firstBucket.setRate(rate / 2, nowMs);
  }
}

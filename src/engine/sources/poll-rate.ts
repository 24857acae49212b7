import { SlidingWindowLimiter } from "./sliding-window-limiter.ts";
import { SourceThrottle } from "./source-throttle.ts";

const saturatedIntervalMs = 30 * 60 * 1000;

/**
 * Rate at which this instance polls one source, and the poll interval that follows from it. The rate is this instance's
 * grant of the source's rate, lowered after a 429; first polls use half of it while repeats are due. Times are monotonic
 * milliseconds.
 */
export class PollRate {
  #maxPollsPerSecond: number;
  readonly #intervalMinMs: number;
  readonly #rate: SlidingWindowLimiter;
  readonly #firstsRate: SlidingWindowLimiter;
  readonly #load = new SourceLoad();
  readonly #throttle = new SourceThrottle();
  #grantPerSecond: number;
  /** Whether this instance has the whole rate of the source. */
  #isWhole = true;
  #remoteCalls = 0;
  #intervalMs: number;

  constructor({ maxPollsPerSecond, intervalMinMs }: { readonly maxPollsPerSecond: number; readonly intervalMinMs: number }) {
    this.#maxPollsPerSecond = maxPollsPerSecond;
    this.#intervalMinMs = intervalMinMs;
    this.#rate = new SlidingWindowLimiter(maxPollsPerSecond);
    this.#firstsRate = new SlidingWindowLimiter(maxPollsPerSecond / 2);
    this.#grantPerSecond = maxPollsPerSecond;
    this.#intervalMs = intervalMinMs;
  }

  /** Number of calls that this instance polls. */
  get calls(): number {
    return this.#load.calls;
  }

  /** Rate of the source over all instances. */
  get maxPollsPerSecond(): number {
    return this.#maxPollsPerSecond;
  }

  get grantPerSecond(): number {
    return this.#grantPerSecond;
  }

  /** Current poll interval: the shortest one, stretched evenly if the rate does not allow it. */
  get intervalMs(): number {
    return this.#intervalMs;
  }

  /** Poll interval to report: an instance without calls of the source reports that of the other instances. */
  get shownIntervalMs(): number {
    if (this.calls > 0 || this.#remoteCalls === 0) return this.#intervalMs;
    return Math.max(this.#intervalMinMs, (this.#remoteCalls / (this.#maxPollsPerSecond * this.#throttle.factor)) * 1000);
  }

  /** Throttle after a 429; a past `untilMs` means that polls may start. */
  get throttle(): { readonly untilMs: number; readonly factor: number } {
    return this.#throttle;
  }

  /** Whether `additional` more calls would stretch the interval past half an hour, counted over all instances. */
  isSaturatedBy(additional: number): boolean {
    // The limit is longer than the interval of any age, so the ages of the calls do not matter.
    return ((this.calls + this.#remoteCalls + additional) / this.#maxPollsPerSecond) * 1000 > saturatedIntervalMs;
  }

  /** Adds a call to the load or removes it; `minIntervalMs` is 0 if the source's own interval applies. */
  changeLoad(minIntervalMs: number, delta: 1 | -1): void {
    this.#load.change(minIntervalMs, delta);
    this.#updateInterval();
  }

  applyRemoteCalls(calls: number): void {
    this.#remoteCalls = calls;
  }

  /** Sets the polls per second of this instance, at most the source's rate. With 0 no poll may start. */
  setGrant(ratePerSecond: number): void {
    this.#isWhole = false;
    this.#grantPerSecond = ratePerSecond;
    this.#apply();
  }

  /** Changes the source's rate. A lower rate limits a divided grant at once; only the next division raises a grant. */
  setMaxPollsPerSecond(maxPollsPerSecond: number): void {
    this.#maxPollsPerSecond = maxPollsPerSecond;
    this.#grantPerSecond = this.#isWhole ? maxPollsPerSecond : Math.min(this.#grantPerSecond, maxPollsPerSecond);
    this.#apply();
  }

  /** Returns the time until the next poll may start; 0 if it may start now, `Infinity` without a grant. */
  waitMs(nowMs: number): number {
    return Math.max(0, this.#throttle.untilMs - nowMs, this.#rate.waitMs(nowMs));
  }

  mayPollFirst(nowMs: number): boolean {
    return this.#firstsRate.waitMs(nowMs) === 0;
  }

  record(nowMs: number, isFirstPoll: boolean): void {
    this.#rate.record(nowMs);
    if (isFirstPoll) this.#firstsRate.record(nowMs);
  }

  isThrottled(nowMs: number): boolean {
    return nowMs < this.#throttle.untilMs;
  }

  /** Applies a 429; `retryAfterMs` is `null` if it has no usable `Retry-After`. */
  limit(retryAfterMs: number | null, nowMs: number): void {
    this.#throttle.limit(retryAfterMs, nowMs);
    this.#apply();
  }

  adoptThrottle(untilMs: number, factor: number, nowMs: number): void {
    this.#throttle.adopt(untilMs, factor, nowMs);
    this.#apply();
  }

  recordSuccess(): void {
    this.#throttle.endStreak();
  }

  /** Lets a throttled rate recover; called about once a second. */
  tick(nowMs: number): void {
    const { factor } = this.#throttle;
    this.#throttle.recover(nowMs);
    if (this.#throttle.factor !== factor) this.#apply();
  }

  #apply(): void {
    const rate = this.#grantPerSecond * this.#throttle.factor;
    this.#rate.set(rate);
    this.#firstsRate.set(rate / 2);
    this.#updateInterval();
  }

  #updateInterval(): void {
    // Until there is a grant, the interval is that of the whole rate.
    const rate = (this.#grantPerSecond || this.#maxPollsPerSecond) * this.#throttle.factor;
    this.#intervalMs = Math.max(this.#intervalMinMs, this.#load.intervalMs(rate));
  }
}

/** Number of calls of a source by the shortest interval that their age allows (0 if the source's own applies). */
export class SourceLoad {
  readonly #callsByLeastMs = new Map<number, number>();
  #calls = 0;

  get calls(): number {
    return this.#calls;
  }

  change(leastIntervalMs: number, delta: 1 | -1): void {
    this.#calls += delta;
    this.#callsByLeastMs.set(leastIntervalMs, (this.#callsByLeastMs.get(leastIntervalMs) ?? 0) + delta);
  }

  /**
   * Returns the shortest interval at which all calls fit into the rate; 0 without calls. Calls whose age requires a longer
   * interval count with that one, until the rate stretches it too.
   */
  intervalMs(ratePerSecond: number): number {
    const classes = [...this.#callsByLeastMs].toSorted(([a], [b]) => a - b);
    let slowerPerSecond = 0;
    for (const [leastMs, calls] of classes) if (leastMs > 0) slowerPerSecond += (calls * 1000) / leastMs;
    let calls = 0;
    for (const [index, [leastMs, ofClass]] of classes.entries()) {
      calls += ofClass;
      if (leastMs > 0) slowerPerSecond -= (ofClass * 1000) / leastMs;
      const left = ratePerSecond - slowerPerSecond;
      const intervalMs = calls === 0 ? 0 : (calls / left) * 1000;
      const isLast = index === classes.length - 1;
      if (isLast) return (calls / ratePerSecond) * 1000;
      if (left > 0 && intervalMs <= (classes[index + 1]?.[0] ?? 0)) return intervalMs;
    }
    return 0;
  }
}

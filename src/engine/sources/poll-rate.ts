import { SlidingWindowLimiter } from "./sliding-window-limiter.ts";
import { SourceThrottle } from "./source-throttle.ts";

const saturatedIntervalMs = 30 * 60 * 1000;

/**
 * How fast one source is polled here: within this instance's grant of its rate, less after a 429, first polls on half of
 * it while repeats are due; and the interval that follows from it. Time is monotonic milliseconds.
 */
export class PollRate {
  #maxPollsPerSecond: number;
  readonly #intervalMinMs: number;
  readonly #rate: SlidingWindowLimiter;
  readonly #firstsRate: SlidingWindowLimiter;
  readonly #load = new SourceLoad();
  readonly #throttle = new SourceThrottle();
  #grantPerSecond: number;
  /** No other instance has a part of the rate. */
  #isWhole = true;
  #othersCalls = 0;
  #intervalMs: number;

  constructor({ maxPollsPerSecond, intervalMinMs }: { readonly maxPollsPerSecond: number; readonly intervalMinMs: number }) {
    this.#maxPollsPerSecond = maxPollsPerSecond;
    this.#intervalMinMs = intervalMinMs;
    this.#rate = new SlidingWindowLimiter(maxPollsPerSecond);
    this.#firstsRate = new SlidingWindowLimiter(maxPollsPerSecond / 2);
    this.#grantPerSecond = maxPollsPerSecond;
    this.#intervalMs = intervalMinMs;
  }

  /** Owned here. */
  get calls(): number {
    return this.#load.calls;
  }

  /** Of the source, over all instances. */
  get maxPollsPerSecond(): number {
    return this.#maxPollsPerSecond;
  }

  get grantPerSecond(): number {
    return this.#grantPerSecond;
  }

  /** The poll interval in force: the least one, stretched evenly when the rate does not allow it. */
  get intervalMs(): number {
    return this.#intervalMs;
  }

  /** Who polls no call of the source shows how those are polled that do. */
  get shownIntervalMs(): number {
    if (this.calls > 0 || this.#othersCalls === 0) return this.#intervalMs;
    return Math.max(this.#intervalMinMs, (this.#othersCalls / (this.#maxPollsPerSecond * this.#throttle.factor)) * 1000);
  }

  /** After a 429: held back until then (not later than now: no more), and this part of the rate. */
  get throttle(): { readonly untilMs: number; readonly factor: number } {
    return this.#throttle;
  }

  /** Whether so many more calls, over all instances, would stretch the interval past half an hour. */
  isSaturatedBy(additional: number): boolean {
    // Past the longest interval that an age asks for, all calls weigh the same.
    return ((this.calls + this.#othersCalls + additional) / this.#maxPollsPerSecond) * 1000 > saturatedIntervalMs;
  }

  /** Counts a call in or out; `minIntervalMs` 0: it is polled at the source's own interval. */
  changeLoad(minIntervalMs: number, delta: 1 | -1): void {
    this.#load.change(minIntervalMs, delta);
    this.#stretch();
  }

  applyRemoteCalls(calls: number): void {
    this.#othersCalls = calls;
  }

  /** What this instance may poll a second; 0: nothing. At most the source's rate. */
  setGrant(ratePerSecond: number): void {
    this.#isWhole = false;
    this.#grantPerSecond = ratePerSecond;
    this.#apply();
  }

  /** Another rate of the source from now on. A grant can only be less for it; more is for a division to say. */
  setMaxPollsPerSecond(maxPollsPerSecond: number): void {
    this.#maxPollsPerSecond = maxPollsPerSecond;
    this.#grantPerSecond = this.#isWhole ? maxPollsPerSecond : Math.min(this.#grantPerSecond, maxPollsPerSecond);
    this.#apply();
  }

  /** How long until the next poll may go; 0: now; infinite without a grant. */
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

  /** A 429; null without a usable `Retry-After`. */
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

  /** The rate recovers a little with every call of this, about once a second. */
  tick(nowMs: number): void {
    const { factor } = this.#throttle;
    this.#throttle.recover(nowMs);
    if (this.#throttle.factor !== factor) this.#apply();
  }

  #apply(): void {
    const rate = this.#grantPerSecond * this.#throttle.factor;
    this.#rate.set(rate);
    this.#firstsRate.set(rate / 2);
    this.#stretch();
  }

  #stretch(): void {
    // Without a grant (there will be one) as if it had the whole rate.
    const rate = (this.#grantPerSecond || this.#maxPollsPerSecond) * this.#throttle.factor;
    this.#intervalMs = Math.max(this.#intervalMinMs, this.#load.intervalMs(rate));
  }
}

/** How many calls a source has, by the least interval their age asks for (0: the source's own). */
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
   * The shortest interval at which everybody fits into the rate, 0 without calls. Who asks for a longer one counts with
   * that one, until the rate stretches it too.
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

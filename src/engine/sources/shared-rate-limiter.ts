import { slackRatio, SlidingWindowLimiter } from "./sliding-window-limiter.ts";

/**
 * Limits polls as `SlidingWindowLimiter` does, and leaves the accounts that share a rate no long gap. A burst of one account
 * would use up the whole second, and a call of another one would wait for its end. So half of the polls of a second may go at
 * once, and the other half are spread evenly: with a rate of 200 the next poll is at most 11 ms away. A burst of an account that was
 * alone still counts, so the first call of a second account may wait for its end. Times are monotonic milliseconds.
 */
export class SharedRateLimiter {
  readonly #all: SlidingWindowLimiter;
  /** Polls that were not spread. */
  readonly #atOnce: SlidingWindowLimiter;
  /** Time between two spread polls; 0 if the rate is too low to be divided. */
  #spreadMs = 0;
  #spreadAtMs = -Infinity;

  constructor(ratePerSecond: number) {
    this.#all = new SlidingWindowLimiter(ratePerSecond);
    this.#atOnce = new SlidingWindowLimiter(ratePerSecond);
    this.set(ratePerSecond);
  }

  /** Changes the rate; earlier polls still count. With 0 no poll may start. */
  set(ratePerSecond: number): void {
    const burst = Math.ceil(ratePerSecond);
    const atOnce = Math.floor(burst / 2);
    const perSecond = (atOnce * ratePerSecond) / burst;
    this.#all.set(ratePerSecond);
    this.#atOnce.set(atOnce === 0 ? ratePerSecond : perSecond);
    this.#spreadMs = atOnce === 0 ? 0 : (1000 * slackRatio) / (ratePerSecond - perSecond);
  }

  /** Returns the time until the next poll may start; 0 if it may start now, `Infinity` if the rate is 0. */
  waitMs(nowMs: number, { isShared }: { readonly isShared: boolean }): number {
    const waitMs = this.#all.waitMs(nowMs);
    if (!isShared || this.#spreadMs === 0) return waitMs;
    return Math.max(waitMs, Math.min(this.#atOnce.waitMs(nowMs), this.#spreadAtMs + this.#spreadMs - nowMs));
  }

  /** Records a poll, even beyond the rate. */
  record(nowMs: number): void {
    this.#all.record(nowMs);
    if (nowMs >= this.#spreadAtMs + this.#spreadMs) this.#spreadAtMs = nowMs;
    else this.#atOnce.record(nowMs);
  }
}

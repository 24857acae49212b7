/** Stretches the window, so that polls which the network bunches together still arrive within the rate. */
export const slackRatio = 1.01;

/**
 * Limits polls so that no second contains more than the rate (rounded up), even after an idle second: with a rate of n, a
 * poll starts when the n-th poll before it is a second old. A token bucket of n would allow 2n in one second. A rate below
 * 1 allows one poll per 1/rate seconds. Times are monotonic milliseconds.
 */
export class SlidingWindowLimiter {
  /** Ring of the times of the latest polls; holds at least one second's worth. */
  #polledAtMs: Float64Array;
  #next = 0;
  #burst = 1;
  #spanMs = 1000;

  constructor(ratePerSecond: number) {
    this.#polledAtMs = new Float64Array(Math.max(1, Math.ceil(ratePerSecond))).fill(-Infinity);
    this.set(ratePerSecond);
  }

  /** Changes the rate; earlier polls still count. With 0 no poll may start. */
  set(ratePerSecond: number): void {
    this.#burst = ratePerSecond > 0 ? Math.max(1, Math.ceil(ratePerSecond)) : 0;
    this.#reserve(this.#burst);
    this.#spanMs = (this.#burst / ratePerSecond) * 1000 * slackRatio;
  }

  /** Returns the time until the next poll may start; 0 if it may start now, `Infinity` if the rate is 0. */
  waitMs(nowMs: number): number {
    if (this.#burst === 0) return Infinity;
    const size = this.#polledAtMs.length;
    const earlierMs = this.#polledAtMs[(this.#next - this.#burst + size) % size] ?? -Infinity;
    return Math.max(0, earlierMs + this.#spanMs - nowMs);
  }

  /** Records a poll, even beyond the rate. */
  record(nowMs: number): void {
    this.#polledAtMs[this.#next] = nowMs;
    this.#next = (this.#next + 1) % this.#polledAtMs.length;
  }

  /** Grows the ring to `count` times, keeping the latest in order. */
  #reserve(count: number): void {
    if (count <= this.#polledAtMs.length) return;
    const latest = [...this.#polledAtMs.subarray(this.#next), ...this.#polledAtMs.subarray(0, this.#next)];
    this.#polledAtMs = new Float64Array(count).fill(-Infinity);
    this.#polledAtMs.set(latest, count - latest.length);
    this.#next = 0;
  }
}

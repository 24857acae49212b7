/** Longer than the rate asks for, so that what the network bunches together is still within it where it arrives. */
const slackRatio = 1.01;

/**
 * No second ever sees more than the rate (rounded up), however quiet the one before was: a poll may go when the one a
 * second's worth before it is a second old. A bucket of one second's worth would let two of them through in one second.
 * A rate below one is one poll in that many seconds. Time is monotonic milliseconds.
 */
export class SlidingWindowLimiter {
  /** When the latest ones were granted; at least as many as one second may hold. */
  #grantedAtMs: Float64Array;
  #next = 0;
  #burst = 1;
  #spanMs = 1000;

  constructor(ratePerSecond: number) {
    this.#grantedAtMs = new Float64Array(Math.max(1, Math.ceil(ratePerSecond))).fill(-Infinity);
    this.set(ratePerSecond);
  }

  /** From now on; what was granted before counts as it did. 0: nothing is granted. */
  set(ratePerSecond: number): void {
    this.#burst = ratePerSecond > 0 ? Math.max(1, Math.ceil(ratePerSecond)) : 0;
    this.#remember(this.#burst);
    this.#spanMs = (this.#burst / ratePerSecond) * 1000 * slackRatio;
  }

  /** How long until the next may be granted; 0: now; infinite while the rate is 0. */
  waitMs(nowMs: number): number {
    if (this.#burst === 0) return Infinity;
    const size = this.#grantedAtMs.length;
    const earlierMs = this.#grantedAtMs[(this.#next - this.#burst + size) % size] ?? -Infinity;
    return Math.max(0, earlierMs + this.#spanMs - nowMs);
  }

  /** Notes one, whether or not there was room. */
  record(nowMs: number): void {
    this.#grantedAtMs[this.#next] = nowMs;
    this.#next = (this.#next + 1) % this.#grantedAtMs.length;
  }

  /** Room for so many, the latest ones kept in their order. */
  #remember(count: number): void {
    if (count <= this.#grantedAtMs.length) return;
    const latest = [...this.#grantedAtMs.subarray(this.#next), ...this.#grantedAtMs.subarray(0, this.#next)];
    this.#grantedAtMs = new Float64Array(count).fill(-Infinity);
    this.#grantedAtMs.set(latest, count - latest.length);
    this.#next = 0;
  }
}

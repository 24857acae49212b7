/** How long the instances of one database believe each other. */
export type LeaseTimes = {
  readonly leaseMs: number;
  readonly heartbeatMs: number;
  /** No work is begun in the last part of a lease. */
  readonly marginMs: number;
  /** A lease covers an attempt and so much more: a delivery must not be somebody else's while it is on the wire. */
  readonly beyondAttemptMs: number;
};

export const leaseTimes: LeaseTimes = { leaseMs: 25_000, heartbeatMs: 5000, marginMs: 5000, beyondAttemptMs: 10_000 };

/** This instance's lease as it knows it, counted from before each renewal was sent. Time is monotonic milliseconds. */
export class InstanceLease {
  readonly #times: LeaseTimes;
  #sentAtMs = -Infinity;
  #steadySinceMs = Infinity;

  constructor(times: LeaseTimes) {
    this.#times = times;
  }

  renew(sentAtMs: number): void {
    if (sentAtMs - this.#sentAtMs > 2 * this.#times.heartbeatMs) this.#steadySinceMs = sentAtMs;
    this.#sentAtMs = sentAtMs;
  }

  end(): void {
    this.#sentAtMs = -Infinity;
  }

  /** Others may take it for dead: what it was granted they may have granted to somebody else. */
  isOver(nowMs: number): boolean {
    return nowMs >= this.#sentAtMs + this.#times.leaseMs;
  }

  mayStart(nowMs: number): boolean {
    return nowMs < this.#sentAtMs + this.#times.leaseMs - this.#times.marginMs;
  }

  /**
   * Renewed without a gap for so long that an instance which has not done the same is dead, and not cut off as everybody
   * was a moment ago.
   */
  isSteady(nowMs: number): boolean {
    return !this.isOver(nowMs) && nowMs - this.#steadySinceMs >= 2 * this.#times.heartbeatMs;
  }
}

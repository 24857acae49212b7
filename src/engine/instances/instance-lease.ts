/** Durations of an instance's lease. */
export type LeaseTimes = {
  readonly leaseMs: number;
  readonly heartbeatMs: number;
  /** Last part of a lease, in which no work starts. */
  readonly marginMs: number;
  /** Part of a lease beyond the longest attempt, so that no other instance claims a delivery that is in flight. */
  readonly beyondAttemptMs: number;
};

export const leaseTimes: LeaseTimes = { leaseMs: 25_000, heartbeatMs: 5000, marginMs: 5000, beyondAttemptMs: 10_000 };

/**
 * This instance's own view of its lease. Times are monotonic milliseconds.
 *
 *   renewal sent                        margin       over
 *        |-------- work may start --------|-----------|
 *        0                    leaseMs - marginMs   leaseMs
 *
 * The lease counts from before the renewal was sent, and the database counts from its arrival, so this instance stops
 * before the database lets another one evict it.
 */
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

  /** Whether other instances may have evicted this one and granted its shares to others. */
  isOver(nowMs: number): boolean {
    return nowMs >= this.#sentAtMs + this.#times.leaseMs;
  }

  mayStart(nowMs: number): boolean {
    return nowMs < this.#sentAtMs + this.#times.leaseMs - this.#times.marginMs;
  }

  /**
   * Whether the lease was renewed without a gap for two heartbeats. Only then a silent instance can be taken for dead,
   * because after an outage of the database all instances are silent at first.
   */
  isSteady(nowMs: number): boolean {
    return !this.isOver(nowMs) && nowMs - this.#steadySinceMs >= 2 * this.#times.heartbeatMs;
  }
}

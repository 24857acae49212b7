const throttleMinMs = 1000;
const throttleMaxMs = 60_000;
const minRateFactor = 1 / 32;
/** Time in which a throttled source regains a sixteenth of its rate. */
const recoveryStepMs = 2000;

/**
 * Throttle after a 429: no poll until `Retry-After` (or a backoff), then half of the rate, which recovers. Times are
 * monotonic milliseconds.
 */
export class SourceThrottle {
  #untilMs = -Infinity;
  #factor = 1;
  #changedAtMs = 0;
  /** Number of 429s since the last good answer. */
  #streak = 0;

  /** No poll starts before this time. */
  get untilMs(): number {
    return this.#untilMs;
  }

  /** Fraction of the rate that may be used. */
  get factor(): number {
    return this.#factor;
  }

  /** Applies a 429; `retryAfterMs` is `null` if it has no usable `Retry-After`. */
  limit(retryAfterMs: number | null, nowMs: number): void {
    // Answers to polls that were in flight when the first 429 arrived do not lower the rate again.
    if (nowMs < this.#untilMs) {
      this.#untilMs = Math.max(this.#untilMs, nowMs + (retryAfterMs ?? 0));
      return;
    }
    const backoffMs = Math.min(throttleMinMs * 2 ** Math.min(this.#streak, 10), throttleMaxMs);
    this.#streak += 1;
    // A `Retry-After: 0` asks for no wait, and the answer is a 429 all the same.
    const askedMs = retryAfterMs ?? 0;
    this.#untilMs = nowMs + (askedMs > 0 ? askedMs : backoffMs);
    this.#setFactor(Math.max(this.#factor / 2, minRateFactor), nowMs);
  }

  /** Applies the throttle of another instance. */
  adopt(untilMs: number, factor: number, nowMs: number): void {
    this.#untilMs = Math.max(this.#untilMs, untilMs);
    if (factor < this.#factor) this.#setFactor(factor, nowMs);
  }

  /** Resets the backoff after a good answer. */
  endStreak(): void {
    this.#streak = 0;
  }

  /** Restores a step of the rate if one is due; called about once a second. */
  recover(nowMs: number): void {
    if (this.#factor < 1 && nowMs >= this.#untilMs && nowMs - this.#changedAtMs >= recoveryStepMs)
      this.#setFactor(Math.min(1, this.#factor + 1 / 16), nowMs);
  }

  #setFactor(factor: number, nowMs: number): void {
    this.#factor = factor;
    this.#changedAtMs = nowMs;
  }
}

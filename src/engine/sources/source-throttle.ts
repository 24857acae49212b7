const throttleMinMs = 1000;
const throttleMaxMs = 60_000;
const minRateFactor = 1 / 32;
/** A source that answered 429 gets a sixteenth of its rate back in this time. */
const recoveryStepMs = 2000;

/** What a 429 does to a source: nothing until `Retry-After` (or a backoff), then half of the rate, which recovers. Time is monotonic milliseconds. */
export class SourceThrottle {
  #untilMs = -Infinity;
  #factor = 1;
  #changedAtMs = 0;
  /** 429s without a good answer in between. */
  #streak = 0;

  /** Nothing goes out before then. */
  get untilMs(): number {
    return this.#untilMs;
  }

  /** The part of the rate that is left. */
  get factor(): number {
    return this.#factor;
  }

  /** A 429 came in; null without a usable `Retry-After`. */
  limit(retryAfterMs: number | null, nowMs: number): void {
    // Answers to polls that were on the wire when the first 429 came say nothing new.
    if (nowMs < this.#untilMs) {
      this.#untilMs = Math.max(this.#untilMs, nowMs + (retryAfterMs ?? 0));
      return;
    }
    const backoffMs = Math.min(throttleMinMs * 2 ** Math.min(this.#streak, 10), throttleMaxMs);
    this.#streak += 1;
    this.#untilMs = nowMs + (retryAfterMs ?? backoffMs);
    this.#setFactor(Math.max(this.#factor / 2, minRateFactor), nowMs);
  }

  /** Another instance got one. */
  adopt(untilMs: number, factor: number, nowMs: number): void {
    this.#untilMs = Math.max(this.#untilMs, untilMs);
    if (factor < this.#factor) this.#setFactor(factor, nowMs);
  }

  /** A good answer: the next 429 is a first one. */
  endStreak(): void {
    this.#streak = 0;
  }

  /** About once a second. */
  recover(nowMs: number): void {
    if (this.#factor < 1 && nowMs >= this.#untilMs && nowMs - this.#changedAtMs >= recoveryStepMs)
      this.#setFactor(Math.min(1, this.#factor + 1 / 16), nowMs);
  }

  #setFactor(factor: number, nowMs: number): void {
    this.#factor = factor;
    this.#changedAtMs = nowMs;
  }
}

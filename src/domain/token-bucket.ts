/** Grants `ratePerSecond` tokens a second, at most one second's worth (and at least one) at once. Time is monotonic milliseconds. */
export class TokenBucket {
  #ratePerSecond: number;
  #tokens: number;
  #filledAtMs: number;

  constructor(ratePerSecond: number, nowMs: number) {
    this.#ratePerSecond = ratePerSecond;
    this.#tokens = this.#capacity;
    this.#filledAtMs = nowMs;
  }

  get ratePerSecond(): number {
    return this.#ratePerSecond;
  }

  setRate(ratePerSecond: number, nowMs: number): void {
    this.#fill(nowMs);
    this.#ratePerSecond = ratePerSecond;
    this.#tokens = Math.min(this.#tokens, this.#capacity);
  }

  /** Returns the number of tokens, which may be a fraction. */
  available(nowMs: number): number {
    this.#fill(nowMs);
    return this.#tokens;
  }

  take(nowMs: number): boolean {
    this.#fill(nowMs);
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }

  /** How long until a token is there; 0: now. */
  waitMs(nowMs: number): number {
    this.#fill(nowMs);
    return this.#tokens >= 1 ? 0 : Math.ceil(((1 - this.#tokens) / this.#ratePerSecond) * 1000);
  }

  get #capacity(): number {
    return Math.max(1, this.#ratePerSecond);
  }

  #fill(nowMs: number): void {
    this.#tokens = Math.min(this.#capacity, this.#tokens + ((nowMs - this.#filledAtMs) / 1000) * this.#ratePerSecond);
    this.#filledAtMs = nowMs;
  }
}

/** Token bucket of `ratePerSecond`. Its capacity is the tokens of `burstMs`, but at least one. Times are monotonic milliseconds. */
export class TokenBucket {
  readonly #burstMs: number;
  #ratePerSecond: number;
  #tokens: number;
  #filledAtMs: number;

  constructor(ratePerSecond: number, nowMs: number, burstMs = 1000) {
    this.#burstMs = burstMs;
    this.#ratePerSecond = ratePerSecond;
    this.#tokens = this.#capacity;
    this.#filledAtMs = nowMs;
  }

  get ratePerSecond(): number {
    return this.#ratePerSecond;
  }

  /** Changes the rate from now on; tokens beyond the new capacity are discarded. */
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

  /** Takes a token; false if there is none. */
  take(nowMs: number): boolean {
    this.#fill(nowMs);
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }

  /** Takes tokens that need not be there; later takers wait until they are. */
  charge(tokens: number, nowMs: number): void {
    this.#fill(nowMs);
    this.#tokens -= tokens;
  }

  /** Takes a token in advance if there is none, and returns the milliseconds until it is there; 0 if there was one. Later takers wait longer. */
  reserve(nowMs: number): number {
    const waitMs = this.waitMs(nowMs);
    this.#tokens -= 1;
    return waitMs;
  }

  /** Returns the milliseconds until a token is available; 0 if one is. */
  waitMs(nowMs: number): number {
    this.#fill(nowMs);
    return this.#tokens >= 1 ? 0 : Math.ceil(((1 - this.#tokens) / this.#ratePerSecond) * 1000);
  }

  get #capacity(): number {
    return Math.max(1, (this.#ratePerSecond * this.#burstMs) / 1000);
  }

  #fill(nowMs: number): void {
    this.#tokens = Math.min(this.#capacity, this.#tokens + ((nowMs - this.#filledAtMs) / 1000) * this.#ratePerSecond);
    this.#filledAtMs = nowMs;
  }
}

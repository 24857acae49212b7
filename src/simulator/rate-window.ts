/** Limits requests to `perSecond` in each of consecutive windows of one second. */
export class RateWindow {
  readonly #perSecond: number;
  #startedAtMs = Number.NEGATIVE_INFINITY;
  #count = 0;

  constructor(perSecond: number) {
    this.#perSecond = perSecond;
  }

  /** Whether one more request is within the limit. `nowMs` is monotonic. */
  admits(nowMs: number): boolean {
    if (nowMs - this.#startedAtMs >= 1000) {
      this.#startedAtMs = nowMs;
      this.#count = 0;
    }
    return ++this.#count <= this.#perSecond;
  }
}

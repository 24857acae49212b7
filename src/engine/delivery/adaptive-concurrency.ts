/** What an endpoint or host nobody has heard of yet is given. */
export const startLimit = 4;

/** How many exchanges with one receiver run at once: slow start, one more for every success, half at a failure. */
export class AdaptiveConcurrency {
  #max: number;
  #limit: number;
  #inFlight = 0;

  /** `failures`: how many in a row are known of already; each of them has halved it. */
  constructor(max: number, failures = 0) {
    this.#max = max;
    this.#limit = Math.max(1, Math.min(startLimit >> Math.min(failures, 31), max));
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get limit(): number {
    return this.#limit;
  }

  get available(): number {
    return Math.max(0, this.#limit - this.#inFlight);
  }

  get isIdle(): boolean {
    return this.#inFlight === 0;
  }

  /** What is on the wire above a lower maximum ends by itself. */
  setMax(max: number): void {
    this.#max = max;
    this.#limit = Math.min(this.#limit, max);
  }

  acquire(): void {
    this.#inFlight += 1;
  }

  release(result: "success" | "failure" | "neither"): void {
    this.#inFlight -= 1;
    if (result === "success") this.#limit = Math.min(this.#limit + 1, this.#max);
    else if (result === "failure") this.#limit = Math.max(1, Math.floor(this.#limit / 2));
  }
}

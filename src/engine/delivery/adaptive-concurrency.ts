/** Limit of an endpoint or host without history. */
export const startLimit = 4;

/** Concurrency limit of one receiver. It starts low, grows by one with each success and is halved by a failure (AIMD). */
export class AdaptiveConcurrency {
  #max: number;
  #limit: number;
  #inFlight = 0;
  /** Whether the last result was a failure. */
  #isFailing: boolean;

  /** `failures`: number of consecutive failures so far; each halves the initial limit. */
  constructor(max: number, failures = 0) {
    this.#max = max;
    this.#isFailing = failures > 0;
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

  /** Changes the maximum. A receiver that was held at a lower one starts at `startLimit`. Exchanges in flight beyond a lower maximum may finish. */
  setMax(max: number): void {
    if (this.#limit === this.#max && !this.#isFailing) this.#limit = Math.max(this.#limit, startLimit);
    this.#max = max;
    this.#limit = Math.min(this.#limit, max);
  }

  acquire(): void {
    this.#inFlight += 1;
  }

  release(result: "success" | "failure" | "neither"): void {
    this.#inFlight -= 1;
    if (result !== "neither") this.#isFailing = result === "failure";
    if (result === "success") this.#limit = Math.min(this.#limit + 1, this.#max);
    else if (result === "failure") this.#limit = Math.max(1, Math.floor(this.#limit / 2));
  }
}

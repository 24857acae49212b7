/** How many exchanges with one receiver run at once: slow start, one more for every success, half at a failure. */
export class InFlightLimit {
  readonly #max: number;
  #limit: number;
  #inFlight = 0;

  constructor(max: number) {
    this.#max = max;
    this.#limit = Math.min(startLimit, max);
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get limit(): number {
    return this.#limit;
  }

  get room(): number {
    return this.#limit - this.#inFlight;
  }

  /** Nothing runs and nothing was learnt: it can be forgotten. */
  get isIdle(): boolean {
    return this.#inFlight === 0;
  }

  enter(): void {
    this.#inFlight += 1;
  }

  leave(result: "success" | "failure" | "neither"): void {
    this.#inFlight -= 1;
    if (result === "success") this.#limit = Math.min(this.#limit + 1, this.#max);
    else if (result === "failure") this.#limit = Math.max(1, Math.floor(this.#limit / 2));
  }
}

/** What an endpoint nobody has heard of yet is given. */
export const startLimit = 4;

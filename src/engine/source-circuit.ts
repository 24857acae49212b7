const windowSeconds = 10;
const minPolls = 10;

/** Counts the failures of the last 10 s, second by second: more than half of at least 10 polls opens the circuit. */
export class SourceCircuit {
  readonly #polls = Array.from({ length: windowSeconds }, () => 0);
  readonly #failures = Array.from({ length: windowSeconds }, () => 0);
  #second = 0;

  /** Whether this outcome makes it trip. */
  record(failed: boolean, nowMonotonicMs: number): boolean {
    this.#advance(Math.floor(nowMonotonicMs / 1000));
    const index = this.#second % windowSeconds;
    this.#polls[index] = (this.#polls[index] ?? 0) + 1;
    if (failed) this.#failures[index] = (this.#failures[index] ?? 0) + 1;
    const polls = sum(this.#polls);
    return failed && polls >= minPolls && sum(this.#failures) * 2 > polls;
  }

  reset(): void {
    this.#polls.fill(0);
    this.#failures.fill(0);
  }

  #advance(second: number): void {
    const passed = Math.min(second - this.#second, windowSeconds);
    for (let step = 1; step <= passed; step++) {
      const index = (this.#second + step) % windowSeconds;
      this.#polls[index] = 0;
      this.#failures[index] = 0;
    }
    this.#second = Math.max(this.#second, second);
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

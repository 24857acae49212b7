const windowSeconds = 10;
const minPolls = 10;
/** After a reset, what the other instances said of the time before is not heard: a window and a heartbeat. */
const deafAfterResetMs = 20_000;

export type PollCounts = { readonly polls: number; readonly failures: number };

const noPolls: PollCounts = { polls: 0, failures: 0 };

/**
 * Counts the failures of the last 10 s, second by second: more than half of at least 10 polls opens the circuit. Polls
 * of the other instances count with them, as of their last heartbeats.
 */
export class CircuitBreaker {
  readonly #polls = Array.from({ length: windowSeconds }, () => 0);
  readonly #failures = Array.from({ length: windowSeconds }, () => 0);
  #second = 0;
  #others = noPolls;
  #deafUntilMonotonicMs = -Infinity;

  /** Whether this outcome makes it trip. */
  record(failed: boolean, nowMonotonicMs: number): boolean {
    this.#advance(Math.floor(nowMonotonicMs / 1000));
    const index = this.#second % windowSeconds;
    this.#polls[index] = (this.#polls[index] ?? 0) + 1;
    if (failed) this.#failures[index] = (this.#failures[index] ?? 0) + 1;
    return failed && this.#trips();
  }

  /** Whether what the other instances saw makes it trip. */
  applyRemoteShares(counts: PollCounts, nowMonotonicMs: number): boolean {
    this.#advance(Math.floor(nowMonotonicMs / 1000));
    this.#others = nowMonotonicMs < this.#deafUntilMonotonicMs ? noPolls : counts;
    return this.#trips();
  }

  /** Of this instance alone. */
  counts(nowMonotonicMs: number): PollCounts {
    this.#advance(Math.floor(nowMonotonicMs / 1000));
    return { polls: sum(this.#polls), failures: sum(this.#failures) };
  }

  reset(nowMonotonicMs: number): void {
    this.#polls.fill(0);
    this.#failures.fill(0);
    this.#others = noPolls;
    this.#deafUntilMonotonicMs = nowMonotonicMs + deafAfterResetMs;
  }

  #trips(): boolean {
    const polls = sum(this.#polls) + this.#others.polls;
    return polls >= minPolls && (sum(this.#failures) + this.#others.failures) * 2 > polls;
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

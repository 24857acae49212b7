const windowSeconds = 10;
const minPolls = 10;
/**
 * Time after a reset in which remote counts are ignored, because they include polls before the reset. As long as a window
 * and a heartbeat.
 */
const ignoreRemoteAfterResetMs = 20_000;

export type PollCounts = { readonly polls: number; readonly failures: number };

const noPolls: PollCounts = { polls: 0, failures: 0 };

/**
 * Circuit breaker over the polls of the last 10 s, counted by second: it trips when more than half of at least 10 polls
 * failed. Polls of the other instances count as of their last heartbeats.
 */
export class CircuitBreaker {
  readonly #polls = Array.from({ length: windowSeconds }, () => 0);
  readonly #failures = Array.from({ length: windowSeconds }, () => 0);
  #second = 0;
  #remote = noPolls;
  #ignoreRemoteUntilMonotonicMs = -Infinity;

  /** Counts a poll and returns whether the circuit trips. */
  record(failed: boolean, nowMonotonicMs: number): boolean {
    this.#advance(Math.floor(nowMonotonicMs / 1000));
    const index = this.#second % windowSeconds;
    this.#polls[index] = (this.#polls[index] ?? 0) + 1;
    if (failed) this.#failures[index] = (this.#failures[index] ?? 0) + 1;
    return failed && this.#trips();
  }

  /** Sets the counts of the other instances and returns whether the circuit trips. */
  applyRemoteShares(counts: PollCounts, nowMonotonicMs: number): boolean {
    this.#advance(Math.floor(nowMonotonicMs / 1000));
    this.#remote = nowMonotonicMs < this.#ignoreRemoteUntilMonotonicMs ? noPolls : counts;
    return this.#trips();
  }

  /** Returns the counts of this instance. */
  counts(nowMonotonicMs: number): PollCounts {
    this.#advance(Math.floor(nowMonotonicMs / 1000));
    return { polls: sum(this.#polls), failures: sum(this.#failures) };
  }

  reset(nowMonotonicMs: number): void {
    this.#polls.fill(0);
    this.#failures.fill(0);
    this.#remote = noPolls;
    this.#ignoreRemoteUntilMonotonicMs = nowMonotonicMs + ignoreRemoteAfterResetMs;
  }

  #trips(): boolean {
    const polls = sum(this.#polls) + this.#remote.polls;
    return polls >= minPolls && (sum(this.#failures) + this.#remote.failures) * 2 > polls;
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

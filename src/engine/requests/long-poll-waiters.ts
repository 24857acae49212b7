import type { Notice } from "../../ports/stores/call-store.ts";
import type { Clock } from "../../ports/clock.ts";
import type { WaitEnd } from "../../ports/use-cases/live-state.ts";
import type { Commit, CommitListener, Removal } from "../../ports/commit-listener.ts";

const maxWaiters = 20_000;
const maxIdsPerQuery = 5000;

/**
 * Wakes requests that wait for a watch's next transition or an account's next event. Their number is bounded: a request
 * beyond it is answered immediately, like one whose time is over.
 */
export class LongPollWaiters implements CommitListener {
  readonly #clock: Clock;
  readonly #waiters = new Map<string, Set<(end: WaitEnd) => void>>();
  #count = 0;
  #stopped = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get hasWaiters(): boolean {
    return this.#count > 0;
  }

  /** Returns the ids with this prefix that requests wait for, at most as many as one query takes. */
  waitedFor(prefix: string): readonly string[] {
    return [...this.#waiters.keys()].filter((key) => key.startsWith(prefix)).slice(0, maxIdsPerQuery);
  }

  committed({ notices }: Commit): void {
    this.publish(notices);
  }

  removed({ notices }: Removal): void {
    this.publish(notices);
  }

  publish(notices: readonly Notice[]): void {
    for (const { watchId, accountId } of notices) {
      if (watchId !== null) this.#wake(watchId);
      this.#wake(accountId);
    }
  }

  /** Waits until `key` (the id of a watch or an account) is published. Never rejects. */
  wait(key: string, timeoutMs: number, signal: AbortSignal): Promise<WaitEnd> {
    if (this.#stopped) return Promise.resolve("stopping");
    if (signal.aborted) return Promise.resolve("aborted");
    if (this.#count >= maxWaiters) return Promise.resolve("timeout");
    return new Promise((resolve) => {
      const waiters = this.#waiters.get(key) ?? new Set();
      this.#waiters.set(key, waiters);
      const settle = (end: WaitEnd) => {
        if (!waiters.delete(settle)) return;
        this.#count -= 1;
        if (waiters.size === 0) this.#waiters.delete(key);
        timer.cancel();
        signal.removeEventListener("abort", abort);
        resolve(end);
      };
      const abort = () => settle("aborted");
      const timer = this.#clock.setTimer(timeoutMs, () => settle("timeout"));
      signal.addEventListener("abort", abort);
      waiters.add(settle);
      this.#count += 1;
    });
  }

  stop(): void {
    this.#stopped = true;
    for (const waiters of this.#waiters.values()) for (const settle of waiters) settle("stopping");
  }

  #wake(key: string): void {
    for (const settle of this.#waiters.get(key) ?? []) settle("event");
  }
}

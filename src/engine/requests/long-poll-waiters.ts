import type { Notice } from "../../ports/stores/call-store.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Commit, CommitListener, Removal } from "../../ports/commit-listener.ts";

const maxWaiters = 20_000;
const maxAsked = 5000;

/**
 * Wakes requests that wait for a watch's next transition or an account's next event. Bounded: a waiter too many is
 * answered at once, as if its time were over.
 */
export class LongPollWaiters implements CommitListener {
  readonly #clock: Clock;
  readonly #waiters = new Map<string, Set<(woken: boolean) => void>>();
  #count = 0;
  #stopped = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get hasWaiters(): boolean {
    return this.#count > 0;
  }

  /** What somebody waits for, of one kind of id; no more than a statement takes. */
  waitedFor(prefix: string): readonly string[] {
    return [...this.#waiters.keys()].filter((key) => key.startsWith(prefix)).slice(0, maxAsked);
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

  /** True when `key` (a watch or an account) was published, false after the time, an abort or a stop. Never rejects. */
  wait(key: string, timeoutMs: number, signal: AbortSignal): Promise<boolean> {
    if (this.#stopped || signal.aborted || this.#count >= maxWaiters) return Promise.resolve(false);
    return new Promise((resolve) => {
      const waiters = this.#waiters.get(key) ?? new Set();
      this.#waiters.set(key, waiters);
      const settle = (woken: boolean) => {
        if (!waiters.delete(settle)) return;
        this.#count -= 1;
        if (waiters.size === 0) this.#waiters.delete(key);
        timer.cancel();
        signal.removeEventListener("abort", abort);
        resolve(woken);
      };
      const abort = () => settle(false);
      const timer = this.#clock.setTimer(timeoutMs, abort);
      signal.addEventListener("abort", abort);
      waiters.add(settle);
      this.#count += 1;
    });
  }

  stop(): void {
    this.#stopped = true;
    for (const waiters of this.#waiters.values()) for (const settle of waiters) settle(false);
  }

  #wake(key: string): void {
    for (const settle of this.#waiters.get(key) ?? []) settle(true);
  }
}

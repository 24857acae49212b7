import type { Notice } from "../../ports/stores/call-store.ts";
import type { Clock } from "../../ports/clock.ts";
import type { AwaitedChange, WaitEnd } from "../../ports/use-cases/live-state.ts";
import type { Commit, CommitListener, Removal } from "../../ports/commit-listener.ts";

export type LongPollWaitersOptions = {
  readonly clock: Clock;
  /** Number of requests that may wait for one account, and for all accounts; 0 disables the limit of an account. */
  readonly maxPerAccount: number;
  readonly maxInAll: number;
};

/** One waiting request. */
type Waiter = { readonly change: AwaitedChange; readonly settle: (end: WaitEnd) => void };

const maxIdsPerQuery = 5000;

/**
 * Wakes requests that wait for a watch's next transition or an account's next event. An account has a limit of its own.
 * Where all accounts together reach theirs, the account with the most waiting requests has its oldest one answered, as if
 * its time were over.
 */
export class LongPollWaiters implements CommitListener {
  readonly #options: LongPollWaitersOptions;
  /** Waiters by id of a watch or an account. */
  readonly #byKey = new Map<string, Set<Waiter>>();
  /** Waiters by account, oldest first. */
  readonly #byAccount = new Map<string, Set<Waiter>>();
  #count = 0;
  #stopped = false;

  constructor(options: LongPollWaitersOptions) {
    this.#options = options;
  }

  get hasWaiters(): boolean {
    return this.#count > 0;
  }

  /** Returns the ids with this prefix that requests wait for, at most as many as one query takes. */
  waitedFor(prefix: string): readonly string[] {
    return [...this.#byKey.keys()].filter((key) => key.startsWith(prefix)).slice(0, maxIdsPerQuery);
  }

  committed({ notices }: Commit): void {
    this.publish(notices);
  }

  removed({ notices }: Removal): void {
    this.publish(notices);
  }

  publish(notices: readonly Notice[]): void {
    for (const notice of notices) {
      if (notice.watchId !== null) this.#wake(notice.watchId, notice);
      this.#wake(notice.accountId, notice);
    }
  }

  /** Waits until a notice of the change is published. Never rejects. */
  wait(change: AwaitedChange, timeoutMs: number, signal: AbortSignal): Promise<WaitEnd> {
    const { clock, maxPerAccount } = this.#options;
    if (this.#stopped) return Promise.resolve("stopping");
    if (signal.aborted) return Promise.resolve("aborted");
    const ofAccount = this.#byAccount.get(change.accountId)?.size ?? 0;
    if (maxPerAccount > 0 && ofAccount >= maxPerAccount) return Promise.resolve("too_many");
    this.#makeRoom(change.accountId);
    return new Promise((resolve) => {
      const settle = (end: WaitEnd) => {
        if (!this.#delete(waiter)) return;
        timer.cancel();
        signal.removeEventListener("abort", abort);
        resolve(end);
      };
      const waiter: Waiter = { change, settle };
      const abort = () => settle("aborted");
      const timer = clock.setTimer(timeoutMs, () => settle("timeout"));
      signal.addEventListener("abort", abort);
      this.#add(waiter);
    });
  }

  /** Answers the waiting requests of an account, as if their time were over. */
  endAccount(accountId: string): void {
    for (const { settle } of this.#byAccount.get(accountId) ?? []) settle("timeout");
  }

  stop(): void {
    this.#stopped = true;
    for (const waiters of this.#byAccount.values()) for (const { settle } of waiters) settle("stopping");
  }

  /** Answers the oldest waiting request of the account with the most, this one's included, if the limit of all is reached. */
  #makeRoom(accountId: string): void {
    if (this.#count < this.#options.maxInAll) return;
    let most = this.#byAccount.get(accountId);
    for (const waiters of this.#byAccount.values()) if (waiters.size > (most?.size ?? 0) + 1) most = waiters;
    // Where no account has more than one, any of them is answered.
    most ??= this.#byAccount.values().next().value;
    const [oldest] = most ?? [];
    oldest?.settle("timeout");
  }

  #add(waiter: Waiter): void {
    const { accountId, watchId } = waiter.change;
    for (const [map, key] of [
      [this.#byKey, watchId ?? accountId],
      [this.#byAccount, accountId],
    ] as const) {
      const waiters = map.get(key) ?? new Set();
      map.set(key, waiters.add(waiter));
    }
    this.#count += 1;
  }

  /** Returns false if the waiter was deleted before. */
  #delete(waiter: Waiter): boolean {
    const { accountId, watchId } = waiter.change;
    if (this.#byAccount.get(accountId)?.has(waiter) !== true) return false;
    for (const [map, key] of [
      [this.#byKey, watchId ?? accountId],
      [this.#byAccount, accountId],
    ] as const) {
      const waiters = map.get(key);
      waiters?.delete(waiter);
      if (waiters?.size === 0) map.delete(key);
    }
    this.#count -= 1;
    return true;
  }

  #wake(key: string, notice: Notice): void {
    for (const { change, settle } of this.#byKey.get(key) ?? []) if (change.matches?.(notice) !== false) settle("event");
  }
}

import { isTransientStoreError } from "../../domain/errors.ts";
import type { Clock } from "../../ports/clock.ts";
import type { AccountActivity, AccountStore } from "../../ports/stores/account-store.ts";
import type { Authentication } from "../../ports/use-cases/authentication.ts";

export type AccountActivityRecorderOptions = {
  readonly store: Pick<AccountStore, "recordActivity">;
  readonly clock: Pick<Clock, "nowMs">;
};

const minuteMs = 60_000;
/** Accounts that one transaction writes. */
const accountsAtOnce = 500;

type Seen = { polls: number; lastRequestAtMs: number | null };

/**
 * Counts polls and requests of accounts in memory, and records each minute once it is over: no request and no poll costs a
 * write. A crash loses the minute under way.
 */
export class AccountActivityRecorder {
  readonly #options: AccountActivityRecorderOptions;
  /** Short enough that all instances have recorded a minute before the next one is over. */
  readonly tickEveryMs = 10_000;
  #minute: number;
  #seen = new Map<string, Seen>();
  /** Activity of past minutes that is not recorded yet. */
  #ended: AccountActivity[] = [];

  constructor(options: AccountActivityRecorderOptions) {
    this.#options = options;
    this.#minute = this.#minuteNow();
  }

  /** Returns the authentication with every request of an account noted. */
  noting(authentication: Authentication): Authentication {
    return {
      findByKey: async (key) => {
        const found = await authentication.findByKey(key);
        if (found?.kind === "account") this.#of(found.account.id).lastRequestAtMs = this.#options.clock.nowMs();
        return found;
      },
    };
  }

  polled(accountId: string): void {
    this.#of(accountId).polls += 1;
  }

  /** Records the minutes that are over. */
  async tick(): Promise<void> {
    const minute = this.#minuteNow();
    if (minute !== this.#minute) this.#endMinute(minute);
    await this.#record();
  }

  /** Records what was counted so far. Never rejects. */
  async stop(): Promise<void> {
    this.#endMinute(this.#minuteNow());
    await this.#record().catch(() => undefined);
  }

  #of(accountId: string): Seen {
    const known = this.#seen.get(accountId);
    if (known !== undefined) return known;
    const seen = { polls: 0, lastRequestAtMs: null };
    this.#seen.set(accountId, seen);
    return seen;
  }

  #endMinute(next: number): void {
    const ended = [...this.#seen].map(([accountId, seen]) => ({ accountId, minute: this.#minute, ...seen }));
    // Minutes that the store could not take are worth less than the newest one.
    this.#ended = ended.length === 0 ? this.#ended : ended;
    this.#seen = new Map();
    this.#minute = next;
  }

  async #record(): Promise<void> {
    try {
      while (this.#ended.length > 0) {
        await this.#options.store.recordActivity(this.#ended.slice(0, accountsAtOnce));
        this.#ended = this.#ended.slice(accountsAtOnce);
      }
    } catch (error) {
      // The next tick records them.
      if (!isTransientStoreError(error)) throw error;
    }
  }

  #minuteNow(): number {
    return Math.floor(this.#options.clock.nowMs() / minuteMs);
  }
}

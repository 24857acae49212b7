import { isTransientStoreError } from "../../domain/errors.ts";
import type { AccountStore } from "../../ports/stores/account-store.ts";

export type AccountStatesOptions = {
  readonly store: Pick<AccountStore, "listDisabledAccounts">;
  /** Called with accounts that are disabled from now on. `isDisabled` returns true for them. */
  readonly onDisabled: (accountIds: readonly string[]) => void;
  /** Called after accounts were enabled. `isDisabled` returns false for them. */
  readonly onEnabled: () => void;
};

/**
 * The accounts that the operator has disabled, as of the last look. The store decides what is polled and claimed; this
 * keeps polls and webhooks from starting that were due before.
 */
export class AccountStates {
  readonly #options: AccountStatesOptions;
  /** Short enough that a change applies within 5 s. */
  readonly tickEveryMs = 2000;
  #disabled: ReadonlySet<string> = new Set();

  constructor(options: AccountStatesOptions) {
    this.#options = options;
  }

  isDisabled(accountId: string): boolean {
    return this.#disabled.size > 0 && this.#disabled.has(accountId);
  }

  /** Reads the accounts that are disabled. The next tick repeats a look that the store did not answer. */
  async refresh(): Promise<void> {
    try {
      this.follow(await this.#options.store.listDisabledAccounts());
    } catch (error) {
      if (!isTransientStoreError(error)) throw error;
    }
  }

  /** Applies which accounts are disabled now. */
  follow(accountIds: readonly string[]): void {
    const before = this.#disabled;
    if (accountIds.length === 0 && before.size === 0) return;
    this.#disabled = new Set(accountIds);
    const added = accountIds.filter((accountId) => !before.has(accountId));
    if (added.length > 0) this.#options.onDisabled(added);
    if ([...before].some((accountId) => !this.#disabled.has(accountId))) this.#options.onEnabled();
  }
}

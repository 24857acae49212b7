export type ManualBudgetLimits = {
  /** Number of manual attempts of one account, and of all accounts, that are accepted and have not ended; 0 disables a limit. */
  readonly maxPerAccount: number;
  readonly maxInAll: number;
};

/** Manual attempts that are accepted and have not ended. They count neither against the limits nor the slots of scheduled ones. */
export class ManualBudget {
  readonly #limits: ManualBudgetLimits;
  readonly #byAccount = new Map<string, number>();
  #inAll = 0;

  constructor(limits: ManualBudgetLimits) {
    this.#limits = limits;
  }

  /** Takes a place, to be released by the result when the attempt has ended; `null` if the account or all accounts have none left. */
  acquire(accountId: string): Disposable | null {
    const { maxPerAccount, maxInAll } = this.#limits;
    const ofAccount = this.#byAccount.get(accountId) ?? 0;
    if ((maxPerAccount > 0 && ofAccount >= maxPerAccount) || (maxInAll > 0 && this.#inAll >= maxInAll)) return null;
    this.#byAccount.set(accountId, ofAccount + 1);
    this.#inAll += 1;
    let isReleased = false;
    return {
      [Symbol.dispose]: () => {
        if (isReleased) return;
        isReleased = true;
        this.#release(accountId);
      },
    };
  }

  #release(accountId: string): void {
    this.#inAll -= 1;
    const left = (this.#byAccount.get(accountId) ?? 1) - 1;
    if (left > 0) this.#byAccount.set(accountId, left);
    else this.#byAccount.delete(accountId);
  }
}

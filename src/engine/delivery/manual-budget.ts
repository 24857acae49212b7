export type ManualBudgetLimits = {
  /** Number of manual attempts of one account, and of all accounts, that are accepted and have not ended; 0 disables a limit. */
  readonly maxPerAccount: number;
  readonly maxInAll: number;
};

/** Place of an instance among those that are alive: its rank, from 0, and their number. */
export type InstanceShare = { readonly rank: number; readonly instances: number };

/**
 * Manual attempts that are accepted and have not ended. They count neither against the limits nor the slots of scheduled
 * ones. The instances that share a database divide each limit, so that their parts add up to it.
 */
export class ManualBudget {
  readonly #limits: ManualBudgetLimits;
  #share: InstanceShare = { rank: 0, instances: 1 };
  readonly #byAccount = new Map<string, number>();
  #inAll = 0;

  constructor(limits: ManualBudgetLimits) {
    this.#limits = limits;
  }

  /** Sets the place of this instance among all of them, which decides its part of every limit. */
  setShare(share: InstanceShare): void {
    this.#share = share;
  }

  /** Takes a place, to be released by the result when the attempt has ended; `null` if the account or all accounts have none left. */
  acquire(accountId: string): Disposable | null {
    const { maxPerAccount, maxInAll } = this.#limits;
    const isFull = (limit: number, taken: number, turn: number) => limit > 0 && taken >= partOf(limit, this.#share, turn);
    const ofAccount = this.#byAccount.get(accountId) ?? 0;
    if (isFull(maxPerAccount, ofAccount, turnOf(accountId)) || isFull(maxInAll, this.#inAll, 0)) return null;
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

/**
 * Returns an instance's part of a limit. What does not divide evenly goes to as many instances, beginning `turn` ranks on. Each
 * instance has one at least, so that none refuses an account for good where there are more instances than places.
 */
function partOf(limit: number, { rank, instances }: InstanceShare, turn: number): number {
  const isAhead = (rank + turn) % instances < limit % instances;
  return Math.max(1, Math.floor(limit / instances) + (isAhead ? 1 : 0));
}

/** Returns a number that differs between accounts, so that the rest of a limit is not on the same instances for all of them. */
function turnOf(accountId: string): number {
  let turn = 0;
  for (let at = 0; at < accountId.length; at++) turn = (turn * 31 + accountId.charCodeAt(at)) % 1_000_003;
  return turn;
}

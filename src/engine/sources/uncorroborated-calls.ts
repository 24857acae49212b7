import type { QueuedPoll } from "./fair-poll-queue.ts";

/**
 * Calls that are about to end with 400 or 404 while no call of the source succeeds. Calls that never answered count only
 * if they belong to more than one account, or if no other account has calls: else their SIDs are wrong, not the source.
 */
export class UncorroboratedCalls<Entry extends QueuedPoll> {
  readonly #isAlone: (accountId: string) => boolean;
  /** The account of a call that never answered; `null` for one that has answered before. */
  readonly #calls = new Map<Entry, string | null>();
  readonly #unansweredByAccount = new Map<string, number>();
  #answered = 0;

  /** `isAlone` returns whether no other account has calls of the source. */
  constructor(isAlone: (accountId: string) => boolean) {
    this.#isAlone = isAlone;
  }

  /** Number of calls that count against the source. */
  get count(): number {
    const [accountId] = this.#unansweredByAccount.keys();
    if (accountId === undefined) return this.#answered;
    return this.#unansweredByAccount.size > 1 || this.#isAlone(accountId) ? this.#calls.size : this.#answered;
  }

  add(entry: Entry): void {
    this.delete(entry);
    const accountId = entry.hasAnswered ? null : entry.accountId;
    this.#calls.set(entry, accountId);
    if (accountId === null) this.#answered += 1;
    else this.#unansweredByAccount.set(accountId, (this.#unansweredByAccount.get(accountId) ?? 0) + 1);
  }

  delete(entry: Entry): void {
    const accountId = this.#calls.get(entry);
    if (accountId === undefined) return;
    this.#calls.delete(entry);
    if (accountId === null) this.#answered -= 1;
    else {
      const left = (this.#unansweredByAccount.get(accountId) ?? 0) - 1;
      if (left > 0) this.#unansweredByAccount.set(accountId, left);
      else this.#unansweredByAccount.delete(accountId);
    }
  }

  clear(): void {
    // A good poll calls this. Clearing an empty map makes a new table, and the former tables refer to it.
    if (this.#calls.size === 0) return;
    this.#calls.clear();
    this.#unansweredByAccount.clear();
    this.#answered = 0;
  }
}

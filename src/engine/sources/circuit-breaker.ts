const windowSeconds = 10;
const minPolls = 10;
/**
 * Time after a reset in which remote counts are ignored, because they include polls before the reset. As long as a window
 * and a heartbeat.
 */
const ignoreRemoteAfterResetMs = 20_000;

export type PollCounts = { readonly polls: number; readonly failures: number };

const noPolls: PollCounts = { polls: 0, failures: 0 };

/** A poll as the circuit counts it. */
export type CountedPoll = { readonly failed: boolean; readonly accountId: string; readonly hasAnswered: boolean };

/**
 * Circuit breaker over the polls of the last 10 s, counted by second: it trips when more than half of at least 10 polls
 * failed. Failures of calls that never answered count only if calls of more than one account fail so, or if no other
 * account has calls: else they say something of those calls alone. Polls of the other instances count as of their last
 * heartbeats.
 */
export class CircuitBreaker {
  readonly #isAlone: (accountId: string) => boolean;
  #seconds: SecondOfPolls[] = noSeconds();
  #second = 0;
  #remote = noPolls;
  #ignoreRemoteUntilMonotonicMs = -Infinity;

  /** `isAlone` returns whether no other account has calls of the source. */
  constructor(isAlone: (accountId: string) => boolean) {
    this.#isAlone = isAlone;
  }

  /** Counts a poll and returns whether the circuit trips. */
  record(poll: CountedPoll, nowMonotonicMs: number): boolean {
    this.#advance(Math.floor(nowMonotonicMs / 1000));
    const second = this.#seconds[this.#second % windowSeconds];
    if (second !== undefined) count(second, poll);
    return poll.failed && this.#trips();
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
    return this.#counted();
  }

  reset(nowMonotonicMs: number): void {
    this.#seconds = noSeconds();
    this.#remote = noPolls;
    this.#ignoreRemoteUntilMonotonicMs = nowMonotonicMs + ignoreRemoteAfterResetMs;
  }

  #trips(): boolean {
    const { polls, failures } = this.#counted();
    const allPolls = polls + this.#remote.polls;
    return allPolls >= minPolls && (failures + this.#remote.failures) * 2 > allPolls;
  }

  #counted(): PollCounts {
    let [polls, failures, unanswered] = [0, 0, 0];
    let accounts: FailingAccounts = null;
    for (const second of this.#seconds) {
      polls += second.polls;
      failures += second.failures;
      unanswered += second.unanswered;
      accounts = joined(accounts, second.accounts);
    }
    const counts = accounts === "several" || (accounts !== null && this.#isAlone(accounts.accountId));
    return counts ? { polls: polls + unanswered, failures: failures + unanswered } : { polls, failures };
  }

  #advance(second: number): void {
    const passed = Math.min(second - this.#second, windowSeconds);
    for (let step = 1; step <= passed; step++) this.#seconds[(this.#second + step) % windowSeconds] = newSecond();
    this.#second = Math.max(this.#second, second);
  }
}

/** Accounts whose calls failed without ever having answered. */
type FailingAccounts = null | { readonly accountId: string } | "several";

/** Polls of one second. `unanswered` failures, of calls that never answered, are in neither of the other counts. */
type SecondOfPolls = { polls: number; failures: number; unanswered: number; accounts: FailingAccounts };

function newSecond(): SecondOfPolls {
  return { polls: 0, failures: 0, unanswered: 0, accounts: null };
}

function noSeconds(): SecondOfPolls[] {
  return Array.from({ length: windowSeconds }, newSecond);
}

function count(second: SecondOfPolls, { failed, accountId, hasAnswered }: CountedPoll): void {
  if (failed && !hasAnswered) {
    second.unanswered += 1;
    second.accounts = joined(second.accounts, { accountId });
    return;
  }
  second.polls += 1;
  if (failed) second.failures += 1;
}

function joined(one: FailingAccounts, other: FailingAccounts): FailingAccounts {
  if (one === null || other === null) return one ?? other;
  return one !== "several" && other !== "several" && one.accountId === other.accountId ? one : "several";
}

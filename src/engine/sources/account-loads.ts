import type { PollBudget } from "../../domain/freshness/next-poll.ts";
import { maxMinLevel } from "../../domain/sources/max-min.ts";

/** Up to this number of accounts the rate is divided after every change. Beyond it, changes are gathered. */
const gatheredFrom = 16;
/** Bounds of the multiplier of a learned schedule: the quota is at most this many even intervals, and at least their inverse. */
const maxMultiplier = 8;

/**
 * Calls of one source by account. The source's rate belongs to the accounts in equal parts, and what one does not need the
 * others get (max-min). The interval of an account's calls follows from its part alone.
 */
export class AccountLoads {
  readonly #intervalMinMs: number;
  readonly #byAccount = new Map<string, SourceLoad>();
  readonly #all = new SourceLoad();
  #ratePerSecond: number;
  /** Polls a second that an account gets at most; `Infinity` if all demands fit. */
  #levelPerSecond = Infinity;
  #changesSinceDivision = 0;
  /** `null` until it is asked for after a change. */
  #longestIntervalMs: number | null = null;

  constructor(ratePerSecond: number, intervalMinMs: number) {
    this.#ratePerSecond = ratePerSecond;
    this.#intervalMinMs = intervalMinMs;
  }

  get calls(): number {
    return this.#all.calls;
  }

  /** Only account that has calls; `null` if there is none, or more than one. */
  get soleAccountId(): string | null {
    const [accountId] = this.#byAccount.keys();
    return this.#byAccount.size === 1 ? (accountId ?? null) : null;
  }

  callsOf(accountId: string): number {
    return this.#byAccount.get(accountId)?.calls ?? 0;
  }

  setRate(ratePerSecond: number): void {
    this.#ratePerSecond = ratePerSecond;
    this.divide();
  }

  /** Adds a call or removes it; `leastIntervalMs` is 0 if the source's own interval applies. `weight` is that of its last plan. */
  change(accountId: string, leastIntervalMs: number, delta: 1 | -1, weight = 1): void {
    const load = this.#byAccount.get(accountId) ?? new SourceLoad();
    load.change(leastIntervalMs, delta, weight);
    if (load.calls === 0) this.#byAccount.delete(accountId);
    else this.#byAccount.set(accountId, load);
    this.#all.change(leastIntervalMs, delta, weight);
    this.#changesSinceDivision += 1;
    this.#longestIntervalMs = null;
    const accounts = this.#byAccount.size;
    // Dividing costs a step for each account, so its cost is spread over as many changes.
    if (accounts <= gatheredFrom || this.#changesSinceDivision * 8 >= accounts) this.divide();
  }

  /** Divides the rate among the accounts again. */
  divide(): void {
    this.#changesSinceDivision = 0;
    this.#longestIntervalMs = null;
    const fits = this.#all.demandPerSecond(this.#intervalMinMs) <= this.#ratePerSecond;
    this.#levelPerSecond = fits ? Infinity : maxMinLevel(this.#demands(), this.#ratePerSecond);
  }

  /** Returns the interval of an account's calls whose age does not require a longer one. */
  intervalMs(accountId: string): number {
    if (this.#levelPerSecond === Infinity) return this.#intervalMinMs;
    const load = this.#byAccount.get(accountId);
    if (load === undefined) return Math.max(this.#intervalMinMs, 1000 / this.#levelPerSecond);
    return load.stretchedMs(this.#levelPerSecond, this.#intervalMinMs) ?? this.#intervalMinMs;
  }

  /**
   * Returns what the account may spend on polls of a call; `null` if the rate does not limit the account. Valid until the
   * next question, so that a poll allocates nothing. `efficiency` is the part of the rate that repeats may plan with.
   *
   * The quota is the multiplier of a learned schedule. A call whose hazard is the mean weighs 1 and is due after the quota.
   * A plan of another delay weighs quota / delay, so the account's calls plan Σ weight / quota polls a second, and the quota
   * at which these are the account's part follows from the sum. A changed rate or number of calls takes effect at once, and
   * a plan changes the sum in the direction of its error by less than the error, so the quota does not oscillate.
   */
  budgetOf(accountId: string, leastIntervalMs: number, efficiency: number): PollBudget | null {
    const load = this.#levelPerSecond === Infinity ? undefined : this.#byAccount.get(accountId);
    const stretchedMs = load?.stretchedMs(this.#levelPerSecond, this.#intervalMinMs) ?? null;
    if (load === undefined || stretchedMs === null) return null;
    const quotaMs = (1000 * load.weight) / (this.#levelPerSecond * efficiency);
    const { budget } = load;
    budget.evenMs = Math.max(stretchedMs, leastIntervalMs);
    budget.minMs = this.#intervalMinMs;
    budget.quotaMs = Math.min(Math.max(quotaMs, stretchedMs / maxMultiplier), stretchedMs * maxMultiplier);
    return budget;
  }

  /** Adds to the weight of an account's plans. */
  changeWeight(accountId: string, delta: number): void {
    const load = this.#byAccount.get(accountId);
    if (load !== undefined) load.weight += delta;
  }

  /** Longest interval of all accounts. */
  get longestIntervalMs(): number {
    this.#longestIntervalMs ??= this.#findLongestIntervalMs();
    return this.#longestIntervalMs;
  }

  /**
   * Returns the interval of an account that has `calls` calls without an age, out of `ratePerSecond`. The other accounts'
   * calls count `scale` times, for those that other instances have.
   */
  intervalWithMs(accountId: string, calls: number, ratePerSecond: number, scale: number): number {
    const least = ratePerSecond / (this.#byAccount.size + 1);
    // Each account gets at least an equal part, so most questions need no division.
    if (calls <= least) return this.#intervalMinMs;
    const demand = (calls * 1000) / this.#intervalMinMs;
    const others = [...this.#byAccount]
      .filter(([other]) => other !== accountId)
      .map(([, load]) => (load.calls * scale * 1000) / this.#intervalMinMs);
    const level = maxMinLevel([demand, ...others], ratePerSecond);
    return demand <= level ? this.#intervalMinMs : (calls / level) * 1000;
  }

  #findLongestIntervalMs(): number {
    let longestMs = this.#intervalMinMs;
    if (this.#levelPerSecond === Infinity) return longestMs;
    for (const accountId of this.#byAccount.keys()) longestMs = Math.max(longestMs, this.intervalMs(accountId));
    return longestMs;
  }

  #demands(): readonly number[] {
    return [...this.#byAccount.values()].map((load) => load.demandPerSecond(this.#intervalMinMs));
  }
}

/** Number of calls by the shortest interval that their age allows (0 if the source's own applies). */
class SourceLoad {
  readonly #callsByLeastMs = new Map<number, number>();
  /** Sum of the weights of the calls' last plans. */
  weight = 0;
  /** Answer of `budgetOf`. */
  readonly budget = { evenMs: 0, minMs: 0, quotaMs: 0 };
  #calls = 0;
  /** Rate that `#stretchedMs` is about; `NaN` after a change. */
  #stretchedAtPerSecond = Number.NaN;
  #stretchedMs: number | null = null;

  get calls(): number {
    return this.#calls;
  }

  change(leastIntervalMs: number, delta: 1 | -1, weight: number): void {
    this.#calls += delta;
    this.weight += delta * weight;
    this.#stretchedAtPerSecond = Number.NaN;
    this.#callsByLeastMs.set(leastIntervalMs, (this.#callsByLeastMs.get(leastIntervalMs) ?? 0) + delta);
  }

  /** Returns the polls a second with which no call waits longer than its age and the shortest interval require. */
  demandPerSecond(intervalMinMs: number): number {
    let perSecond = 0;
    for (const [leastMs, calls] of this.#callsByLeastMs) perSecond += (calls * 1000) / Math.max(leastMs, intervalMinMs);
    return perSecond;
  }

  /** Returns the interval that the rate stretches the calls to; `null` if all fit at the shortest one. */
  stretchedMs(ratePerSecond: number, intervalMinMs: number): number | null {
    if (this.#stretchedAtPerSecond !== ratePerSecond) {
      this.#stretchedAtPerSecond = ratePerSecond;
      const fits = this.demandPerSecond(intervalMinMs) <= ratePerSecond;
      this.#stretchedMs = fits ? null : Math.max(intervalMinMs, this.intervalMs(ratePerSecond));
    }
    return this.#stretchedMs;
  }

  /**
   * Returns the shortest interval at which all calls fit into the rate; 0 without calls. Calls whose age requires a longer
   * interval count with that one, until the rate stretches it too.
   */
  intervalMs(ratePerSecond: number): number {
    const classes = [...this.#callsByLeastMs].toSorted(([a], [b]) => a - b);
    let slowerPerSecond = 0;
    for (const [leastMs, calls] of classes) if (leastMs > 0) slowerPerSecond += (calls * 1000) / leastMs;
    let calls = 0;
    for (const [index, [leastMs, ofClass]] of classes.entries()) {
      calls += ofClass;
      if (leastMs > 0) slowerPerSecond -= (ofClass * 1000) / leastMs;
      const left = ratePerSecond - slowerPerSecond;
      const intervalMs = calls === 0 ? 0 : (calls / left) * 1000;
      const isLast = index === classes.length - 1;
      if (isLast) return (calls / ratePerSecond) * 1000;
      if (left > 0 && intervalMs <= (classes[index + 1]?.[0] ?? 0)) return intervalMs;
    }
    return 0;
  }
}

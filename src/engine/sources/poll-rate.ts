import type { PollBudget } from "../../domain/freshness/next-poll.ts";
import { AccountLoads } from "./account-loads.ts";
import { SharedRateLimiter } from "./shared-rate-limiter.ts";
import { slackRatio } from "./sliding-window-limiter.ts";
import { SourceThrottle } from "./source-throttle.ts";

const saturatedIntervalMs = 30 * 60 * 1000;
/** Wait of due repeats that the plans aim at. With less, tokens of the rate would be lost. */
const aimedWaitMs = 100;
/** Part of its distance by which the share of first polls follows the last tick. */
const firstsSmoothing = 0.1;
/**
 * Time for which a source counts as shared after it was. Of an account with one call at a time every call would wait for the end of
 * the burst that a busy account made in between.
 */
const sharedForMs = 10 * 60 * 1000;

/** Fields of a call that its plan reads and writes. */
export type PlannedCall = {
  readonly accountId: string;
  /** Shortest interval that the call's age allows; 0 if the source's own applies. */
  readonly minIntervalMs: number;
  /** Weight of the last plan in the account's budget (see `AccountLoads.budgetOf`); 1 if it is even. */
  planWeight: number;
};

/**
 * Rate at which this instance polls one source, and the poll intervals that follow from it. The rate is this instance's
 * grant of the source's rate, lowered after a 429; first polls use half of it while repeats are due. Times are monotonic
 * milliseconds.
 */
export class PollRate {
  #maxPollsPerSecond: number;
  readonly #intervalMinMs: number;
  readonly #rate: SharedRateLimiter;
  readonly #firstsRate: SharedRateLimiter;
  readonly #loads: AccountLoads;
  readonly #throttle = new SourceThrottle();
  #grantPerSecond: number;
  /** Whether this instance has the whole rate of the source. */
  #isWhole = true;
  /** Calls that the other instances poll, and the only account that they belong to (`null` if there are several). */
  #remoteCalls = 0;
  #remoteSoleAccountId: string | null = null;
  /** Part of the rate that plans of repeats may use: without that of first polls, and with less while repeats wait. */
  #efficiency = 1 / slackRatio;
  #firstsShare = 0;
  #firstsSinceTick = 0;
  #tickedAtMs: number | null = null;
  /** Time of the last poll for which several accounts had calls of the source. */
  #sharedAtMs = -Infinity;

  constructor({ maxPollsPerSecond, intervalMinMs }: { readonly maxPollsPerSecond: number; readonly intervalMinMs: number }) {
    this.#maxPollsPerSecond = maxPollsPerSecond;
    this.#intervalMinMs = intervalMinMs;
    this.#rate = new SharedRateLimiter(maxPollsPerSecond);
    this.#firstsRate = new SharedRateLimiter(maxPollsPerSecond / 2);
    this.#grantPerSecond = maxPollsPerSecond;
    this.#loads = new AccountLoads(maxPollsPerSecond, intervalMinMs);
  }

  /** Number of calls that this instance polls. */
  get calls(): number {
    return this.#loads.calls;
  }

  /** Only account whose calls this instance polls; `null` if there is none, or more than one. */
  get soleAccountId(): string | null {
    return this.#loads.soleAccountId;
  }

  /** Whether no other account has calls of the source, at any instance. */
  isAlone(accountId: string): boolean {
    const isAloneHere = this.calls === 0 || this.soleAccountId === accountId;
    return isAloneHere && (this.#remoteCalls === 0 || this.#remoteSoleAccountId === accountId);
  }

  /** Whether several accounts have calls of the source, at any instance, or had some lately. */
  #isSharedAt(nowMs: number): boolean {
    return nowMs - this.#sharedAtMs < sharedForMs || this.#isShared;
  }

  get #isShared(): boolean {
    if (this.calls === 0) return this.#remoteCalls > 0 && this.#remoteSoleAccountId === null;
    return this.soleAccountId === null || !this.isAlone(this.soleAccountId);
  }

  /** Rate of the source over all instances. */
  get maxPollsPerSecond(): number {
    return this.#maxPollsPerSecond;
  }

  /** Shortest interval of the source. */
  get intervalMinMs(): number {
    return this.#intervalMinMs;
  }

  get grantPerSecond(): number {
    return this.#grantPerSecond;
  }

  /** Returns the poll interval of an account's calls: the shortest one, stretched evenly if the account's part does not allow it. */
  intervalMs(accountId: string): number {
    return this.#loads.intervalMs(accountId);
  }

  /** Interval of the most stretched account. An instance without calls of the source reports that of the other instances. */
  get longestIntervalMs(): number {
    if (this.calls > 0 || this.#remoteCalls === 0) return this.#loads.longestIntervalMs;
    return Math.max(this.#intervalMinMs, (this.#remoteCalls / (this.#maxPollsPerSecond * this.#throttle.factor)) * 1000);
  }

  /** Throttle after a 429; a past `untilMs` means that polls may start. */
  get throttle(): { readonly untilMs: number; readonly factor: number } {
    return this.#throttle;
  }

  /**
   * Whether `additional` more calls would stretch the account's interval past half an hour, counted over all instances. The
   * other instances are assumed to have the same mix of accounts.
   */
  isSaturatedBy(accountId: string, additional: number): boolean {
    // The limit is longer than the interval of any age, so the ages of the calls do not matter.
    const scale = this.calls === 0 ? 1 : (this.calls + this.#remoteCalls) / this.calls;
    const here = this.#loads.callsOf(accountId) * scale;
    const elsewhere = this.calls === 0 && this.#remoteSoleAccountId === accountId ? this.#remoteCalls : 0;
    const calls = here + elsewhere + additional;
    return this.#loads.intervalWithMs(accountId, calls, this.#maxPollsPerSecond, scale) > saturatedIntervalMs;
  }

  /** Adds a call to the load or removes it; `minIntervalMs` is 0 if the source's own interval applies. */
  changeLoad(accountId: string, minIntervalMs: number, delta: 1 | -1, planWeight = 1): void {
    this.#loads.change(accountId, minIntervalMs, delta, planWeight);
  }

  /** Returns what the account of a call may spend on its polls; `null` if the rate does not limit the account. */
  budgetOf({ accountId, minIntervalMs }: PlannedCall): PollBudget | null {
    return this.#loads.budgetOf(accountId, minIntervalMs, this.#efficiency);
  }

  setPlanWeight(call: PlannedCall, weight: number): void {
    if (weight === call.planWeight) return;
    this.#loads.changeWeight(call.accountId, weight - call.planWeight);
    call.planWeight = weight;
  }

  applyRemoteCalls(calls: number, soleAccountId: string | null): void {
    this.#remoteCalls = calls;
    this.#remoteSoleAccountId = soleAccountId;
  }

  /** Sets the polls per second of this instance, at most the source's rate. With 0 no poll may start. */
  setGrant(ratePerSecond: number): void {
    this.#isWhole = false;
    this.#grantPerSecond = ratePerSecond;
    this.#apply();
  }

  /** Changes the source's rate. A lower rate limits a divided grant at once; only the next division raises a grant. */
  setMaxPollsPerSecond(maxPollsPerSecond: number): void {
    this.#maxPollsPerSecond = maxPollsPerSecond;
    this.#grantPerSecond = this.#isWhole ? maxPollsPerSecond : Math.min(this.#grantPerSecond, maxPollsPerSecond);
    this.#apply();
  }

  /** Returns the time until the next poll may start; 0 if it may start now, `Infinity` without a grant. */
  waitMs(nowMs: number): number {
    return Math.max(0, this.#throttle.untilMs - nowMs, this.#rate.waitMs(nowMs, { isShared: this.#isSharedAt(nowMs) }));
  }

  mayPollFirst(nowMs: number): boolean {
    return this.#firstsRate.waitMs(nowMs, { isShared: this.#isSharedAt(nowMs) }) === 0;
  }

  /** Records a poll. A first poll counts against the half of first polls only while repeats are due. */
  record(nowMs: number, { isFirstPoll, areRepeatsDue = false }: { readonly isFirstPoll: boolean; readonly areRepeatsDue?: boolean }): void {
    this.#rate.record(nowMs);
    if (this.#isShared) this.#sharedAtMs = nowMs;
    if (!isFirstPoll) return;
    if (areRepeatsDue) this.#firstsRate.record(nowMs);
    this.#firstsSinceTick += 1;
  }

  isThrottled(nowMs: number): boolean {
    return nowMs < this.#throttle.untilMs;
  }

  /** Applies a 429; `retryAfterMs` is `null` if it has no usable `Retry-After`. */
  limit(retryAfterMs: number | null, nowMs: number): void {
    this.#throttle.limit(retryAfterMs, nowMs);
    this.#apply();
  }

  adoptThrottle(untilMs: number, factor: number, nowMs: number): void {
    this.#throttle.adopt(untilMs, factor, nowMs);
    this.#apply();
  }

  recordSuccess(): void {
    this.#throttle.endStreak();
  }

  /** Lets a throttled rate recover; called about once a second. `waitingRepeats` is the number of due repeats. */
  tick(nowMs: number, waitingRepeats: number): void {
    this.#followUse(nowMs, waitingRepeats);
    const { factor } = this.#throttle;
    this.#throttle.recover(nowMs);
    if (this.#throttle.factor !== factor) this.#apply();
    else this.#loads.divide();
  }

  /** Plans less while repeats wait: the excess falls to 1/e in three intervals, slower than plans take effect. */
  #followUse(nowMs: number, waitingRepeats: number): void {
    const passedMs = nowMs - (this.#tickedAtMs ?? nowMs);
    this.#tickedAtMs = nowMs;
    const ratePerSecond = this.#ratePerSecond;
    if (passedMs <= 0 || ratePerSecond === 0) return;
    const share = Math.min(0.5, (this.#firstsSinceTick * 1000) / (passedMs * ratePerSecond));
    this.#firstsShare += firstsSmoothing * (share - this.#firstsShare);
    this.#firstsSinceTick = 0;
    const waitMs = (waitingRepeats * 1000) / ratePerSecond;
    const settleMs = Math.max(3000, 3 * this.#loads.longestIntervalMs);
    this.#efficiency = ((1 - this.#firstsShare) / slackRatio) * Math.max(0.5, 1 + (aimedWaitMs - waitMs) / settleMs);
  }

  get #ratePerSecond(): number {
    return this.#grantPerSecond * this.#throttle.factor;
  }

  #apply(): void {
    const rate = this.#ratePerSecond;
    this.#rate.set(rate);
    this.#firstsRate.set(rate / 2);
    // Until there is a grant, the intervals are those of the whole rate.
    this.#loads.setRate((this.#grantPerSecond || this.#maxPollsPerSecond) * this.#throttle.factor);
  }
}

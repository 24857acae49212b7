import { AgeHistogram } from "../../domain/freshness/age-histogram.ts";
import type { StoredAges } from "../../domain/freshness/age-histogram.ts";
import { changesToLearn, hazardOf, meanHazardPerMs } from "../../domain/freshness/hazard.ts";
import type { Hazard } from "../../domain/freshness/hazard.ts";
import { nextPollDelay } from "../../domain/freshness/next-poll.ts";
import type { DetectionDelays } from "../../domain/sources/source.ts";
import type { PlannedCall, PollRate } from "./poll-rate.ts";

/** Number of statuses of a source that are learned. An upstream may send any number of words. */
const maxStatuses = 16;
/** Statuses that are learned even if an upstream sent as many others before. */
const commonStatuses: ReadonlySet<string> = new Set(["queued", "calling"]);
/** Longest word that is learned. */
const maxStatusLength = 64;
/** Number of changes from which the hazard places a change between two polls. */
const changesToPlace = 20;
/** Least time between two computations of the hazards. */
const refreshEveryMs = 5000;
/** Number of changes that the expected delays are the mean of, the latest counting most. */
const delayMemory = 200;
/** Even intervals between two polls from which an outage of the source, and no schedule, was the cause. */
const outageIntervals = 10;

/** A call whose next poll is planned. */
export type FreshCall = PlannedCall & {
  readonly status: string | null;
  readonly observedAtMs: number | null;
  /** False if the last answer must be confirmed, which no learned hazard may delay. */
  readonly isSteady: boolean;
};

/** Observations of one status. */
export type StatusObservations = StoredAges & { readonly status: string };

/** Statistics learned about one status. */
class LearnedStatus {
  /** Sum over all instances, as of the last exchange with the store. */
  stored = new AgeHistogram();
  /** Observed since then. */
  recent = new AgeHistogram();
  /** On its way to the store; `null` if nothing is. */
  sending: AgeHistogram | null = null;
  hazard: Hazard | null = null;
  isLearned = false;

  /** Returns everything that is known. */
  total(): AgeHistogram {
    const total = new AgeHistogram();
    total.append(this.stored);
    if (this.sending !== null) total.append(this.sending);
    total.append(this.recent);
    return total;
  }
}

/**
 * Plans when the calls of one source are polled next: sooner where a change is likelier, by the hazards of the statuses that
 * this instance and the others have observed. The even schedule stays until 200 changes of a status are known, and for
 * accounts that the rate does not limit. A poll costs one look-up of its status and a walk over the ages up to the next.
 */
export class SourceFreshness {
  readonly #statuses = new Map<string, LearnedStatus>();
  #isAnyLearned = false;
  #hasNews = false;
  #refreshedAtMs = -Infinity;
  #learnedDelayMs = 0;
  #evenDelayMs = 0;
  #delays = 0;

  /** Records that a call kept its status between two ages, in milliseconds. */
  recordUnchanged(status: string, fromAgeMs: number, toAgeMs: number): void {
    if (toAgeMs > fromAgeMs) this.#agesOf(status)?.recent.recordUnchanged(Math.max(0, fromAgeMs), toAgeMs);
  }

  /** Records that a call changed between two ages. `evenMs` is the interval that it had under the even schedule. */
  recordChange(status: string, fromAgeMs: number, toAgeMs: number, evenMs: number): void {
    const ages = this.#agesOf(status);
    if (ages === null || toAgeMs <= fromAgeMs) return;
    const delayMs = ages.recent.recordChange(Math.max(0, fromAgeMs), toAgeMs, ages.hazard);
    this.#hasNews = true;
    if (toAgeMs - fromAgeMs > outageIntervals * evenMs) return;
    this.#delays = Math.min(this.#delays + 1, delayMemory);
    this.#learnedDelayMs += (delayMs - this.#learnedDelayMs) / this.#delays;
    this.#evenDelayMs += (evenMs / 2 - this.#evenDelayMs) / this.#delays;
  }

  /**
   * Plans the next poll of a call that was polled now, and returns the time until it. `lateMs` is the time from when that poll
   * was due to now. `jitter` is about 1; it spreads calls that were registered together.
   */
  plan(rate: PollRate, call: FreshCall, nowMs: number, lateMs: number, jitter: number): number {
    const budget = this.#isAnyLearned ? rate.budgetOf(call) : null;
    if (budget === null) {
      rate.setPlanWeight(call, 1);
      return Math.max(rate.intervalMs(call.accountId), call.minIntervalMs) * jitter;
    }
    const { quotaMs, evenMs } = budget;
    const ages = call.isSteady && call.status !== null ? this.#statuses.get(call.status) : undefined;
    const hazard = ages?.isLearned === true ? ages.hazard : null;
    const ageMs = Math.max(0, nowMs - (call.observedAtMs ?? nowMs));
    const delayMs = nextPollDelay(ageMs, hazard, budget, jitter);
    rate.setPlanWeight(call, quotaMs / (delayMs + Math.min(Math.max(0, lateMs), evenMs)));
    return delayMs;
  }

  /** Counts a poll in the account's budget that is due after a delay of its own, such as a backoff. */
  planAfter(rate: PollRate, call: FreshCall, delayMs: number): void {
    const budget = this.#isAnyLearned ? rate.budgetOf(call) : null;
    rate.setPlanWeight(call, budget === null ? 1 : budget.quotaMs / Math.max(delayMs, budget.minMs));
  }

  /** Computes the hazards again if changes were observed; called about once a second. */
  tick(nowMs: number): void {
    if (!this.#hasNews || nowMs - this.#refreshedAtMs < refreshEveryMs) return;
    this.#hasNews = false;
    this.#refreshedAtMs = nowMs;
    this.#refresh();
  }

  /** Expected delays of the changes that were observed last; `null` before the first. */
  get delays(): DetectionDelays | null {
    return this.#delays === 0 ? null : { learnedMs: this.#learnedDelayMs, evenMs: this.#evenDelayMs };
  }

  /** Returns what was observed since the last exchange with the store, until `adopt` or `keepUnsent` ends this one. */
  takeUnsent(): readonly StatusObservations[] {
    const taken: StatusObservations[] = [];
    for (const [status, ages] of this.#statuses) {
      if (ages.sending !== null || ages.recent.isEmpty) continue;
      ages.sending = ages.recent;
      ages.recent = new AgeHistogram();
      taken.push({ status, ...ages.sending.toStored() });
    }
    return taken;
  }

  /** Takes over the sum of all instances' observations, which includes those that were taken. */
  adopt({ status, ...stored }: StatusObservations): void {
    const ages = this.#agesOf(status);
    if (ages === null) return;
    ages.stored = AgeHistogram.fromStored(stored);
    ages.sending = null;
    this.#hasNews = true;
  }

  /** Keeps what was taken for the next exchange, because the store did not accept it. */
  keepUnsent(): void {
    for (const ages of this.#statuses.values()) {
      if (ages.sending === null) continue;
      ages.sending.append(ages.recent);
      ages.recent = ages.sending;
      ages.sending = null;
    }
  }

  #refresh(): void {
    const totals = [...this.#statuses.values()].map((ages) => ({ ages, total: ages.total() }));
    const meanPerMs = meanHazardPerMs(totals.map(({ total }) => total));
    if (meanPerMs === null) return;
    this.#isAnyLearned = false;
    for (const { ages, total } of totals) {
      if (total.changes < changesToPlace) continue;
      ages.hazard = hazardOf(total, meanPerMs);
      ages.isLearned = total.changes >= changesToLearn;
      this.#isAnyLearned ||= ages.isLearned;
    }
  }

  /** Returns the ages of a status; `null` if it is not learned, because there are too many. */
  #agesOf(status: string): LearnedStatus | null {
    const known = this.#statuses.get(status);
    if (known !== undefined) return known;
    if (status.length > maxStatusLength || (this.#statuses.size >= maxStatuses && !commonStatuses.has(status))) return null;
    const ages = new LearnedStatus();
    this.#statuses.set(status, ages);
    return ages;
  }
}

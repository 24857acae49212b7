import { Ledger } from "./ledger.ts";
import type { PlannedLimits } from "./plan.ts";
import type { Exchange } from "./receivers.ts";
import type { Lifetime, Scheduler } from "./scheduler.ts";
import type { Timeline } from "./timeline.ts";

export type Violation = {
  /** The promise that was broken, in one word or two. */
  readonly rule: string;
  readonly detail: string;
  /** Whom the timeline is to be printed for. */
  readonly about: readonly string[];
  readonly atMs: number;
};

/** How long the record of an attempt takes at most where the disk is well. */
const recordMs = 2500;
/** Other instances learn of a change within a second, and need a moment more for the way. */
const elsewhereMs = 1100;
/** After trouble of the disk the recorder may wait this long before it tries again. */
const recordRetryMs = 8000;

/** What was seen from outside so far, what was found wrong with it, and what excuses what. */
export class Evidence {
  readonly ledger = new Ledger();
  readonly violations: Violation[] = [];
  readonly scheduler: Scheduler;
  readonly timeline: Timeline;
  readonly limits: PlannedLimits;
  /** Wall clock steps, by when they were made. */
  readonly clockSteps: { readonly atMs: number; readonly byMs: number }[] = [];
  readonly #diskTroubles: { readonly fromMs: number; readonly untilMs: number }[] = [];
  /** Several instances share the store. */
  isShared = false;
  /** By how much the wall clock was set back without anybody there to notice. */
  unnoticedBackMs = 0;
  /** When an instance last gave up what it had. */
  lastLeftAtMs = -Infinity;
  /** Faults that excuse an error of our own in an answer or in the log. */
  brokenUntilMs = -1;

  constructor(scheduler: Scheduler, timeline: Timeline, limits: PlannedLimits) {
    this.scheduler = scheduler;
    this.timeline = timeline;
    this.limits = limits;
  }

  violate(rule: string, detail: string, ...about: readonly (string | null | undefined)[]): void {
    const names = about.filter((name): name is string => typeof name === "string" && name !== "");
    this.timeline.note(`VIOLATION ${rule}: ${detail}`, ...names);
    this.violations.push({ rule, detail, about: names, atMs: this.scheduler.nowMs });
  }

  noteDiskTrouble(forMs: number): void {
    this.#diskTroubles.push({ fromMs: this.scheduler.nowMs, untilMs: this.scheduler.nowMs + forMs });
  }

  hasDiskTroubleSince(atMs: number): boolean {
    return this.#diskTroubles.some(({ untilMs }) => untilMs + recordRetryMs >= atMs);
  }

  noteClockStep(byMs: number): void {
    this.clockSteps.push({ atMs: this.scheduler.nowMs, byMs });
  }

  /** From when on what came of an attempt that ended at `endedAtMs` is certainly written down, if its process lived. */
  recordedAtMs(endedAtMs: number): number {
    let atMs = endedAtMs + recordMs;
    for (const { fromMs, untilMs } of this.#diskTroubles)
      if (fromMs <= atMs && untilMs >= endedAtMs) atMs = Math.max(atMs, untilMs + recordRetryMs);
    return atMs;
  }

  /** Whether the service may have forgotten it: its process ended before it was certainly written down. */
  isUncertain({ lifetime, startedAtMs, endedAtMs, isAborted }: Exchange): boolean {
    if (isAborted) return true;
    // What an instance did that was evicted meanwhile counts for nothing: its record is refused.
    if (lifetime.fencedAtMs.some((atMs) => atMs >= startedAtMs && (endedAtMs === null || atMs <= this.recordedAtMs(endedAtMs))))
      return true;
    if (lifetime.endedAtMs === null) return false;
    return endedAtMs === null || lifetime.endedAtMs <= this.recordedAtMs(endedAtMs);
  }

  hasClockStepSince(atMs: number): boolean {
    return this.clockSteps.some((step) => step.atMs >= atMs);
  }

  /** How long after an answer another instance may still act as if it had not been given; infinite just after a standstill. */
  knownElsewhereMs({ frozenUntilMs }: Lifetime): number {
    if (!this.isShared) return 0;
    return frozenUntilMs >= 0 && this.scheduler.nowMs - frozenUntilMs < elsewhereMs ? Infinity : elsewhereMs;
  }
}

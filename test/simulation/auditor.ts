import { ExchangeRules } from "./exchange-rules.ts";
import { Ledger } from "./ledger.ts";
import type { PlannedLimits } from "./plan.ts";
import { PollRules } from "./poll-rules.ts";
import type { Exchange } from "./receivers.ts";
import type { Lifetime, Scheduler } from "./scheduler.ts";
import type { Timeline } from "./timeline.ts";
import type { PollSeen } from "./upstream.ts";

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

/**
 * Knows what was promised and sees what clients, receivers, the upstream and operators see: answers, webhooks, feed and
 * lists, never a row or a variable of the service. It checks while the world runs; `final-audit.ts` asks when it is quiet.
 */
export class Auditor {
  readonly ledger = new Ledger();
  readonly violations: Violation[] = [];
  readonly scheduler: Scheduler;
  readonly timeline: Timeline;
  readonly limits: PlannedLimits;
  /** Wall clock steps, by when they were made. */
  readonly clockSteps: { readonly atMs: number; readonly byMs: number }[] = [];
  readonly #diskTroubles: { readonly fromMs: number; readonly untilMs: number }[] = [];
  readonly #exchanges: ExchangeRules;
  readonly #polls: PollRules;
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
    this.#exchanges = new ExchangeRules(this);
    this.#polls = new PollRules(this);
  }

  violate(rule: string, detail: string, ...about: readonly (string | null | undefined)[]): void {
    const names = about.filter((name): name is string => typeof name === "string" && name !== "");
    this.timeline.note(`VIOLATION ${rule}: ${detail}`, ...names);
    this.violations.push({ rule, detail, about: names, atMs: this.scheduler.nowMs });
  }

  noteDiskTrouble(forMs: number): void {
    this.#diskTroubles.push({ fromMs: this.scheduler.nowMs, untilMs: this.scheduler.nowMs + forMs });
  }

  noteClockStep(byMs: number): void {
    this.clockSteps.push({ atMs: this.scheduler.nowMs, byMs });
    this.#exchanges.followClock(byMs);
  }

  /** From when on what came of an attempt that ended at `endedAtMs` is certainly written down, if its process lived. */
  recordedAtMs(endedAtMs: number): number {
    let atMs = endedAtMs + recordMs;
    for (const { fromMs, untilMs } of this.#diskTroubles)
      if (fromMs <= atMs && untilMs >= endedAtMs) atMs = Math.max(atMs, untilMs + recordRetryMs);
    return atMs;
  }

  /** Whether the service may have forgotten it: its process ended before it was certainly written down. */
  isUncertain({ lifetime, startedAtMs, endedAtMs }: Pick<Exchange, "lifetime" | "startedAtMs" | "endedAtMs">): boolean {
    // What an instance did that was evicted meanwhile counts for nothing: its record is refused.
    if (lifetime.fencedAtMs.some((atMs) => atMs >= startedAtMs && (endedAtMs === null || atMs <= this.recordedAtMs(endedAtMs)))) return true;
    if (lifetime.endedAtMs === null) return false;
    return endedAtMs === null || lifetime.endedAtMs <= this.recordedAtMs(endedAtMs);
  }

  hasClockStepSince(atMs: number): boolean {
    return this.clockSteps.some((step) => step.atMs >= atMs);
  }

  sendStarted(exchange: Exchange): void {
    this.#exchanges.started(exchange);
  }

  sendEnded(exchange: Exchange): void {
    this.#exchanges.ended(exchange);
  }

  pollArrived(poll: PollSeen): void {
    this.#polls.arrived(poll);
  }

  pollAnswered(poll: PollSeen): void {
    this.#polls.answered(poll);
  }

  /** A process has ended; nothing of it is on the wire any more. */
  processEnded(lifetime: Lifetime): void {
    this.#exchanges.processEnded(lifetime);
  }

  /** Others have taken over what it had. */
  instanceFenced(lifetime: Lifetime): void {
    this.lastLeftAtMs = this.scheduler.nowMs;
    this.#exchanges.processEnded(lifetime);
  }

  /** How long after an answer another instance may still act as if it had not been given; infinite just after a standstill. */
  knownElsewhereMs({ frozenUntilMs }: Lifetime): number {
    if (!this.isShared) return 0;
    return frozenUntilMs >= 0 && this.scheduler.nowMs - frozenUntilMs < elsewhereMs ? Infinity : elsewhereMs;
  }

  get deniedPolls(): ReadonlyMap<string, string> {
    return this.#polls.denied;
  }
}

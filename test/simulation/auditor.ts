import { Evidence } from "./evidence.ts";
import { ExchangeRules } from "./exchange-rules.ts";
import type { PlannedLimits } from "./plan.ts";
import { PlacingRules } from "./placing-rules.ts";
import { PollRules } from "./poll-rules.ts";
import type { Exchange } from "./receivers.ts";
import type { Lifetime, Scheduler } from "./scheduler.ts";
import type { Dial } from "./scripted-triggers.ts";
import type { Timeline } from "./timeline.ts";
import type { PollSeen } from "./upstream.ts";

/**
 * Knows what was promised and sees what clients, receivers, the upstream and operators see: answers, webhooks, feed and
 * lists, never a row or a variable of the service. It checks while the world runs; `final-audit.ts` asks when it is quiet.
 */
export class Auditor extends Evidence {
  readonly #exchanges: ExchangeRules;
  readonly #polls: PollRules;
  readonly placings: PlacingRules;

  constructor(scheduler: Scheduler, timeline: Timeline, limits: PlannedLimits) {
    super(scheduler, timeline, limits);
    this.#exchanges = new ExchangeRules(this);
    this.#polls = new PollRules(this);
    this.placings = new PlacingRules(this);
  }

  override noteClockStep(byMs: number): void {
    super.noteClockStep(byMs);
    this.#exchanges.followClock(byMs);
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

  dialled(dial: Dial): void {
    this.placings.dialled(dial);
    this.#polls.triggered(dial.source, dial.number);
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

  get rejectedPolls(): ReadonlyMap<string, string> {
    return this.#polls.rejected;
  }
}

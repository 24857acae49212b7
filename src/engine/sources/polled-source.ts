import type { Observation } from "../../domain/calls/call.ts";
import type { PollPolicy } from "../../domain/calls/poll-decision.ts";
import type { Source } from "../../domain/sources/source.ts";
import type { CallSource, PollTarget } from "../../ports/call-source.ts";
import type { Clock, Timer } from "../../ports/clock.ts";
import type { NotStarted } from "../../ports/not-started.ts";
import type { Logger, Metrics } from "../../ports/telemetry.ts";
import type { QueuedPoll } from "./fair-poll-queue.ts";
import { SourceGate } from "./source-gate.ts";
import type { SharedPart } from "./source-gate.ts";
import { SourceFreshness } from "./source-freshness.ts";
import { TriggerTurns } from "./trigger-turns.ts";
import type { TurnEnd } from "./trigger-turns.ts";
import type { LocalTrouble } from "../runtime/local-trouble.ts";

/** Everything that is needed to poll a source. */
export type SourceSetup = {
  readonly source: Source;
  readonly callSource: CallSource;
  readonly policy: PollPolicy;
  readonly intervalMinMs: number;
  readonly intervalMaxMs: number;
};

/** Fields of a call that its source reads. */
export type PollableCall = QueuedPoll &
  PollTarget & {
    readonly callId: string;
    readonly status: string | null;
    readonly dueAtMonotonicMs: number;
    /** Shortest interval that the call's age allows; 0 if the source's own applies. */
    readonly minIntervalMs: number;
    /** Weight of the call's plan in the budget of its account. */
    readonly planWeight: number;
    /** Failure of its last poll; `null` if the poll was good. */
    problemDetail: string | null;
  };

export type SourceDependencies = {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /**
   * Called when a gate changed shared state. With this callback, sources are polled within a grant. A grant is 0 until the
   * rate has been divided.
   */
  readonly onShared?: (sourceName: string, part: SharedPart) => void;
  readonly localTrouble?: LocalTrouble;
  /** `even` polls all calls of an account alike; the default is `learned`. */
  readonly schedule?: PollSchedule;
};

/** Whether calls that are likelier to change are polled sooner. */
export type PollSchedule = "learned" | "even";

/** Shortest time between two warnings of one source, because one trouble usually has many calls. */
const warnEveryMs = 60_000;
/** Number of unknown words of a source that are logged, because an upstream may send any number of them. */
const maxUnknownWords = 100;

/** One source with its gate and its connection to the upstream. */
export class PolledSource<Call extends PollableCall> {
  /** Pending wake-up for the next token of the rate or the next probe. */
  wakeTimer: Timer | null = null;
  /** Whether this is a stand-in for a source that is not configured. */
  isUnconfigured = false;
  /** Time of this machine minus that of the upstream; `null` before the first `Date` header. */
  clockSkewMs: number | null = null;
  /** Statistics learned about the calls; `null` under the even schedule, and for calls that exist only in this process (sandbox). */
  readonly freshness: SourceFreshness | null;
  readonly #dependencies: SourceDependencies;
  readonly #triggerTurns: TriggerTurns;
  readonly #takeToken = () => this.#gate.takeToken();
  /** Words that were logged. */
  readonly #unknownWords = new Set<string>();
  /** When a trouble was last logged as a warning. */
  #warnedAtMonotonicMs = -Infinity;
  #setup: SourceSetup;
  #gate: SourceGate<Call>;

  constructor(setup: SourceSetup, dependencies: SourceDependencies) {
    this.#setup = setup;
    this.#dependencies = dependencies;
    this.freshness = dependencies.schedule === "even" || setup.source.kind === "sandbox" ? null : new SourceFreshness();
    this.#gate = this.#createGate(setup);
    this.#triggerTurns = new TriggerTurns(dependencies.clock, () => this.#gate);
  }

  get name(): string {
    return this.#setup.source.name;
  }

  get setup(): SourceSetup {
    return this.#setup;
  }

  /** Replaced together with the upstream. */
  get gate(): SourceGate<Call> {
    return this.#gate;
  }

  /**
   * Replaces the upstream or its credential from the next poll on, and discards the health of the old one. `calls` are all
   * calls of the source. The caller reschedules the calls that were queued. Polls in flight end as failed.
   */
  replaceUpstream(setup: SourceSetup, calls: readonly Call[]): void {
    const oldGate = this.#gate;
    const oldSource = this.#setup.callSource;
    this.#setup = setup;
    this.#gate = this.#createGate(setup, oldGate.rate.grantPerSecond);
    if (!this.isUnconfigured) this.#gate.setMayProbe(oldGate.mayProbe);
    this.isUnconfigured = false;
    this.clockSkewMs = null;
    for (const call of calls) {
      oldGate.queue.remove(call);
      this.#gate.rate.changeLoad(call.accountId, call.minIntervalMs, 1, call.planWeight);
    }
    oldSource.close().catch((error: unknown) => {
      this.#dependencies.logger.warn({ source: this.name, error: String(error) }, "source.close_failed");
    });
  }

  /**
   * Waits for the account's turn of the source's rate to send a trigger in. `closed` if the source is suspended, `late` if no turn
   * came within `maxWaitMs`, `stopped` if the process is stopping.
   */
  waitForTurn(accountId: string, maxWaitMs: number): Promise<TurnEnd> {
    return this.#triggerTurns.wait(accountId, maxWaitMs);
  }

  /** Ends the waits of triggers, because the process is stopping. */
  stopTriggers(): void {
    this.#triggerTurns.stop();
  }

  /** Polls a call that the gate admitted. Never rejects. */
  async poll(call: Call): Promise<Observation | NotStarted> {
    const { clock, logger, metrics } = this.#dependencies;
    const { callSource } = this.#setup;
    const lagMs = clock.monotonicMs() - call.dueAtMonotonicMs;
    try {
      const { observation, upstreamDateMs, correlationId } = await callSource.poll(call, this.#takeToken);
      if (callSource !== this.#setup.callSource) return observation;
      if (observation.kind === "not_started") {
        this.#dependencies.localTrouble?.report(observation);
        return observation;
      }
      if (upstreamDateMs !== null) this.#recordClockSkew(upstreamDateMs);
      if (observation.kind === "status" && !observation.isMapped) this.#recordUnknown(observation.status);
      metrics.pollFinished(outcomeOf(observation, call), lagMs);
      if (observation.kind !== "status") this.#recordFailure(call, observation, correlationId);
      else if (call.problemDetail !== null) call.problemDetail = null;
      return observation;
    } catch (error) {
      logger.error({ source: this.name, call_id: call.callId, error: String(error) }, "poll.failed_unexpectedly");
      return { kind: "failed", code: "connect", detail: "not polled" };
    }
  }

  /** Keeps and logs the failure of a poll. The first of a series is a warning; the others have the level `debug`. */
  #recordFailure(call: Call, observation: Exclude<Observation, { kind: "status" }>, correlationId: string | null): void {
    const { clock, logger } = this.#dependencies;
    const detail = describeFailure(observation);
    const isNew = call.problemDetail === null && isTrouble(observation);
    call.problemDetail = correlationId === null ? detail : `${detail} (correlation id ${correlationId})`;
    const nowMs = clock.monotonicMs();
    const isFirst = isNew && nowMs - this.#warnedAtMonotonicMs >= warnEveryMs;
    if (isFirst) this.#warnedAtMonotonicMs = nowMs;
    const line = { source: this.name, call_id: call.callId, outcome: outcomeOf(observation, call), detail, correlation_id: correlationId };
    if (isFirst) logger.warn(line, "poll.failed");
    else logger.debug(line, "poll.failed");
  }

  /** Counts a word that is in no status map, and logs it once. */
  #recordUnknown(status: string): void {
    this.#dependencies.metrics.unknownStatus(this.name);
    if (this.#unknownWords.has(status) || this.#unknownWords.size >= maxUnknownWords) return;
    this.#unknownWords.add(status);
    this.#dependencies.logger.warn({ source: this.name, status }, "source.status_unknown");
  }

  async close(): Promise<void> {
    this.stopTriggers();
    await this.#setup.callSource.close();
  }

  #createGate({ source, intervalMinMs, intervalMaxMs, policy }: SourceSetup, grantPerSecond = 0): SourceGate<Call> {
    const { clock, onShared } = this.#dependencies;
    const { corroborationMs } = policy;
    const sharing = onShared === undefined ? {} : { grantPerSecond, onShared: (part: SharedPart) => onShared(source.name, part) };
    return new SourceGate({ source, clock, intervalMinMs, intervalMaxMs, corroborationMs, ...sharing });
  }

  #recordClockSkew(upstreamDateMs: number): void {
    // The header has whole seconds; half a second is the expected error.
    this.clockSkewMs = this.#dependencies.clock.nowMs() - upstreamDateMs - 500;
    this.#dependencies.metrics.clockSkew(this.name, this.clockSkewMs);
  }
}

/** Whether a failure says something of the upstream. A call that is not found yet, or refused, is judged by itself. */
function isTrouble({ kind }: Observation): boolean {
  return kind === "failed" || kind === "unauthorized" || kind === "rate_limited";
}

function describeFailure(observation: Exclude<Observation, { kind: "status" }>): string {
  switch (observation.kind) {
    case "failed":
      return observation.detail;
    case "unauthorized":
      return `answered ${observation.statusCode}`;
    case "rate_limited":
      return "answered that its rate is exceeded";
    case "not_found":
      return "answered that it does not know the call";
    case "rejected":
      return "answered that it refuses the SID";
  }
}

function outcomeOf(observation: Observation, call: PollableCall): string {
  if (observation.kind === "status") return observation.status === call.status ? "unchanged" : "transition";
  return observation.kind === "failed" ? observation.code : observation.kind;
}

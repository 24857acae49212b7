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
};

/** One source with its gate and its connection to the upstream. */
export class PolledSource<Call extends PollableCall> {
  /** Pending wake-up for the next token of the rate or the next probe. */
  wakeTimer: Timer | null = null;
  /** Whether this is a stand-in for a source that is not configured. */
  isUnconfigured = false;
  /** Time of this machine minus that of the upstream; `null` before the first `Date` header. */
  clockSkewMs: number | null = null;
  readonly #dependencies: SourceDependencies;
  readonly #takeToken = () => this.#gate.takeToken();
  #setup: SourceSetup;
  #gate: SourceGate<Call>;

  constructor(setup: SourceSetup, dependencies: SourceDependencies) {
    this.#setup = setup;
    this.#dependencies = dependencies;
    this.#gate = this.#createGate(setup);
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
      this.#gate.rate.changeLoad(call.accountId, call.minIntervalMs, 1);
    }
    oldSource.close().catch((error: unknown) => {
      this.#dependencies.logger.warn({ source: this.name, error: String(error) }, "source.close_failed");
    });
  }

  /** Polls a call that the gate admitted. Never rejects. */
  async poll(call: Call): Promise<Observation | NotStarted> {
    const { clock, logger, metrics } = this.#dependencies;
    const { callSource } = this.#setup;
    const lagMs = clock.monotonicMs() - call.dueAtMonotonicMs;
    try {
      const { observation, upstreamDateMs } = await callSource.poll(call, this.#takeToken);
      if (callSource !== this.#setup.callSource) return observation;
      if (observation.kind === "not_started") {
        this.#dependencies.localTrouble?.report(observation);
        return observation;
      }
      if (upstreamDateMs !== null) this.#recordClockSkew(upstreamDateMs);
      metrics.pollFinished(outcomeOf(observation, call), lagMs);
      return observation;
    } catch (error) {
      logger.error({ source: this.name, call_id: call.callId, error: String(error) }, "poll.failed_unexpectedly");
      return { kind: "failed", code: "connect", detail: "not polled" };
    }
  }

  async close(): Promise<void> {
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

function outcomeOf(observation: Observation, call: PollableCall): string {
  if (observation.kind === "status") return observation.status === call.status ? "unchanged" : "transition";
  return observation.kind === "failed" ? observation.code : observation.kind;
}

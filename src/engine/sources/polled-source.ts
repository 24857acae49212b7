import type { Observation } from "../../domain/calls/call.ts";
import type { PollPolicy } from "../../domain/calls/poll-decision.ts";
import type { Source } from "../../domain/sources/source.ts";
import type { CallSource, PollTarget } from "../../ports/call-source.ts";
import type { Clock, Timer } from "../../ports/clock.ts";
import type { NotStarted } from "../../ports/not-started.ts";
import type { Logger, Metrics } from "../../ports/telemetry.ts";
import type { QueuedPoll } from "./fair-poll-queue.ts";
import { SourceGate } from "./source-gate.ts";
import type { LocalTrouble } from "../runtime/local-trouble.ts";

/** A source with its own waits: the sandbox's are its own, the others' the operator's. */
export type SourceSetup = {
  readonly source: Source;
  readonly callSource: CallSource;
  readonly policy: PollPolicy;
  readonly intervalMinMs: number;
  readonly intervalMaxMs: number;
};

/** What a source reads of a call that it polls. */
export type PollableCall = QueuedPoll &
  PollTarget & {
    readonly callId: string;
    readonly status: string | null;
    readonly dueAtMonotonicMs: number;
    /** Shortest interval that the call's age allows; 0 if the source's own applies. */
    readonly minIntervalMs: number;
  };

/** What of a source holds for all instances. */
export type SharedPart = "suspension" | "throttle";

export type SourceDependencies = {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly onShared?: (sourceName: string, part: SharedPart) => void;
  readonly localTrouble?: LocalTrouble;
};

/** One source as the poller runs it. */
export class PolledSource<Call extends PollableCall> {
  /** Wakes the source when a token or a probe is due. */
  wakeTimer: Timer | null = null;
  /** Nobody configured it: it stands for what its calls name. */
  isUnconfigured = false;
  /** Our clock less the upstream's; null before its first `Date`. */
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

  /** Another one after the upstream was replaced. */
  get gate(): SourceGate<Call> {
    return this.#gate;
  }

  /**
   * Another upstream, or another way into it, from the next poll on: nothing that was learnt about the one before holds.
   * Its calls (all of them in `calls`) go over; those that were in the queue are to be scheduled anew. What was on the
   * wire ends as failed.
   */
  replaceUpstream(setup: SourceSetup, calls: readonly Call[]): void {
    const before = this.#gate;
    const replaced = this.#setup.callSource;
    this.#setup = setup;
    this.#gate = this.#createGate(setup, before.grantPerSecond);
    if (!this.isUnconfigured) this.#gate.setMayProbe(before.mayProbe);
    this.isUnconfigured = false;
    this.clockSkewMs = null;
    for (const call of calls) {
      before.queue.remove(call);
      this.#gate.changeLoad(call.minIntervalMs, 1);
    }
    replaced.close().catch((error: unknown) => {
      this.#dependencies.logger.warn({ source: this.name, error: String(error) }, "source.close_failed");
    });
  }

  /** One poll of a call that the gate let through. Never rejects. */
  async ask(call: Call): Promise<Observation | NotStarted> {
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
      return { kind: "failed", code: "connect", detail: "not asked" };
    }
  }

  async close(): Promise<void> {
    await this.#setup.callSource.close();
  }

  /** A source that others poll too is polled when its rate has been divided. */
  #createGate({ source, intervalMinMs, intervalMaxMs, policy }: SourceSetup, grantPerSecond = 0): SourceGate<Call> {
    const { clock, onShared } = this.#dependencies;
    const { corroborationMs } = policy;
    const sharing = onShared === undefined ? {} : { grantPerSecond, onShared: (part: SharedPart) => onShared(source.name, part) };
    return new SourceGate({ source, clock, intervalMinMs, intervalMaxMs, corroborationMs, ...sharing });
  }

  #recordClockSkew(upstreamDateMs: number): void {
    // The header has whole seconds: half of one is the best guess.
    this.clockSkewMs = this.#dependencies.clock.nowMs() - upstreamDateMs - 500;
    this.#dependencies.metrics.clockSkew(this.name, this.clockSkewMs);
  }
}

function outcomeOf(observation: Observation, call: PollableCall): string {
  if (observation.kind === "status") return observation.status === call.status ? "unchanged" : "transition";
  return observation.kind === "failed" ? observation.code : observation.kind;
}

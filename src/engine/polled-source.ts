import type { Observation } from "../domain/call.ts";
import type { PollPolicy } from "../domain/poll-decision.ts";
import type { Source } from "../domain/source.ts";
import type { CallSource } from "../ports/call-source.ts";
import type { Clock, Timer } from "../ports/clock.ts";
import type { Logger, Metrics } from "../ports/telemetry.ts";
import type { PolledCall } from "./polled-call.ts";
import { SourceGate } from "./source-gate.ts";

/** A source with its own waits: the sandbox's are its own, the others' the operator's. */
export type SourceSetup = {
  readonly source: Source;
  readonly callSource: CallSource;
  readonly policy: PollPolicy;
  readonly intervalMinMs: number;
  readonly intervalMaxMs: number;
};

/** What of a source holds for all instances. */
export type SharedPart = "suspension" | "throttle";

type Surroundings = {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly onShared?: (sourceName: string, part: SharedPart) => void;
};

/** One source as the poller runs it. */
export class PolledSource {
  readonly setup: SourceSetup;
  readonly gate: SourceGate<PolledCall>;
  /** Wakes the source when a token or a probe is due. */
  wakeTimer: Timer | null = null;
  /** Our clock less the upstream's; null before its first `Date`. */
  clockSkewMs: number | null = null;
  readonly #surroundings: Surroundings;
  readonly #takeToken: () => boolean;

  constructor(setup: SourceSetup, surroundings: Surroundings) {
    const { source, intervalMinMs, intervalMaxMs, policy } = setup;
    this.setup = setup;
    const { clock } = surroundings;
    const { witnessMs } = policy;
    const { onShared } = surroundings;
    // A source that others poll too is polled when its rate has been divided.
    const sharing = onShared === undefined ? {} : { grantPerSecond: 0, onShared: (part: SharedPart) => onShared(source.name, part) };
    this.gate = new SourceGate({ source, clock, intervalMinMs, intervalMaxMs, witnessMs, ...sharing });
    this.#surroundings = surroundings;
    this.#takeToken = () => this.gate.takeToken();
  }

  get name(): string {
    return this.setup.source.name;
  }

  /** One poll of a call that the gate let through. Never rejects. */
  async ask(call: PolledCall): Promise<Observation> {
    const { clock, logger, metrics } = this.#surroundings;
    const lagMs = clock.monotonicMs() - call.dueAtMonotonicMs;
    try {
      const { observation, upstreamDateMs } = await this.setup.callSource.poll(call, this.#takeToken);
      if (upstreamDateMs !== null) this.#noteClock(upstreamDateMs);
      metrics.pollFinished(outcomeOf(observation, call), lagMs);
      return observation;
    } catch (error) {
      logger.error({ source: this.name, call_id: call.callId, error: String(error) }, "poll.failed_unexpectedly");
      return { kind: "failed", code: "connect", detail: "not asked" };
    }
  }

  #noteClock(upstreamDateMs: number): void {
    // The header has whole seconds: half of one is the best guess.
    this.clockSkewMs = this.#surroundings.clock.nowMs() - upstreamDateMs - 500;
    this.#surroundings.metrics.clockSkew(this.clockSkewMs);
  }
}

function outcomeOf(observation: Observation, call: PolledCall): string {
  if (observation.kind === "status") return observation.status === call.status ? "unchanged" : "transition";
  return observation.kind === "failed" ? observation.code : observation.kind;
}

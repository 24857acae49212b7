import type { PollPolicy } from "../domain/poll-decision.ts";
import type { Source } from "../domain/source.ts";
import type { CallSource } from "../ports/call-source.ts";
import type { Clock, Timer } from "../ports/clock.ts";
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

/** One source as the poller runs it. */
export class PolledSource {
  readonly setup: SourceSetup;
  readonly gate: SourceGate<PolledCall>;
  readonly takeToken: () => boolean;
  /** Wakes the source when a token or a probe is due. */
  wakeTimer: Timer | null = null;
  /** Our clock less the upstream's; null before its first `Date`. */
  clockSkewMs: number | null = null;

  constructor(setup: SourceSetup, clock: Clock) {
    const { source, intervalMinMs, intervalMaxMs, policy } = setup;
    this.setup = setup;
    this.gate = new SourceGate({ source, clock, intervalMinMs, intervalMaxMs, witnessMs: policy.witnessMs });
    this.takeToken = () => this.gate.takeToken();
  }

  get name(): string {
    return this.setup.source.name;
  }
}

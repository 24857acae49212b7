import type { Clock } from "../../ports/clock.ts";
import { EarliestTimer } from "./earliest-timer.ts";

export type PacedRunsOptions = {
  readonly clock: Clock;
  /** Time from the end of a run to the start of the next. */
  readonly gapMs: number;
  /** One run; it serves every request made before it started. Never rejects. */
  readonly run: () => Promise<void>;
};

/**
 * Runs immediately when idle. Requests that arrive during or shortly after a run share one trailing run, so that endless
 * requests leave time for other work.
 */
export class PacedRuns {
  readonly #options: PacedRunsOptions;
  readonly #timer: EarliestTimer;
  #nextFromMonotonicMs = -Infinity;
  #isRunning = false;
  #isRequested = false;

  constructor(options: PacedRunsOptions) {
    this.#options = options;
    this.#timer = new EarliestTimer(options.clock, () => void this.#run());
  }

  request(): void {
    if (this.#isRunning) this.#isRequested = true;
    else this.#timer.setWithin(this.#nextFromMonotonicMs - this.#options.clock.monotonicMs());
  }

  /** Starts no more runs; one that is under way finishes. */
  close(): void {
    this.#timer.close();
  }

  async #run(): Promise<void> {
    const { clock, gapMs, run } = this.#options;
    // A timer that was already set still fires, even if an immediate run came first.
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#isRequested = false;
    await run();
    this.#isRunning = false;
    this.#nextFromMonotonicMs = clock.monotonicMs() + gapMs;
    if (this.#isRequested) this.request();
  }
}

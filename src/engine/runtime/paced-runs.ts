import type { Clock } from "../../ports/clock.ts";
import { EarliestTimer } from "./earliest-timer.ts";

export type PacedRunsOptions = {
  readonly clock: Clock;
  /** From the end of a run to the begin of the next. */
  readonly pauseMs: number;
  /** One run, which sees everything there was when it was asked for. Never rejects. */
  readonly run: () => Promise<void>;
};

/**
 * Runs at once for who asks after quiet; for those who ask while a run is under way or soon after one, once for all of
 * them, after a pause. So work that is asked for without an end leaves room for everything else.
 */
export class PacedRuns {
  readonly #options: PacedRunsOptions;
  readonly #alarm: EarliestTimer;
  #restsUntilMonotonicMs = -Infinity;
  #isRunning = false;
  #isAskedMeanwhile = false;

  constructor(options: PacedRunsOptions) {
    this.#options = options;
    this.#alarm = new EarliestTimer(options.clock, () => void this.#run());
  }

  ask(): void {
    if (this.#isRunning) this.#isAskedMeanwhile = true;
    else this.#alarm.setWithin(this.#restsUntilMonotonicMs - this.#options.clock.monotonicMs());
  }

  /** Nothing runs any more but what runs now. */
  close(): void {
    this.#alarm.close();
  }

  async #run(): Promise<void> {
    const { clock, pauseMs, run } = this.#options;
    // An alarm that was set rings though one asked for at once has rung before it.
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#isAskedMeanwhile = false;
    await run();
    this.#isRunning = false;
    this.#restsUntilMonotonicMs = clock.monotonicMs() + pauseMs;
    if (this.#isAskedMeanwhile) this.ask();
  }
}

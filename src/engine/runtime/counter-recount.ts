import { isTransientStoreError } from "../../domain/errors.ts";
import type { Clock } from "../../ports/clock.ts";
import type { CounterStore } from "../../ports/stores/service-store.ts";
import type { Logger, Metrics } from "../../ports/telemetry.ts";
import { sleep } from "./timed-waits.ts";

export type CounterRecountOptions = {
  readonly store: CounterStore;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Pick<Metrics, "counterCorrected">;
};

const everyMs = 3_600_000;
/** Pause after a portion, as a multiple of its duration. */
const pauseRatio = 3;
const minPauseMs = 5;
/** A round ends after this time, so that the supervisor sees the loop tick; the next round continues. */
const maxRoundMs = 15_000;

/**
 * Compares the counters of the store with its rows once an hour. A difference is a bug of the store: it is corrected, logged
 * as an error and counted.
 */
export class CounterRecount {
  readonly tickEveryMs = 5000;
  readonly #options: CounterRecountOptions;
  readonly #stopping = new AbortController();
  #dueMonotonicMs: number;

  constructor(options: CounterRecountOptions) {
    this.#options = options;
    this.#dueMonotonicMs = options.clock.monotonicMs() + everyMs;
  }

  /** Counts rows in portions with pauses, so that no commit waits long. */
  async tick(): Promise<void> {
    const { store, clock } = this.#options;
    const startedMs = clock.monotonicMs();
    if (startedMs < this.#dueMonotonicMs) return;
    try {
      while (!this.#stopping.signal.aborted && clock.monotonicMs() - startedMs < maxRoundMs) {
        const portionStartedMs = clock.monotonicMs();
        const { done, corrections } = await store.recountPortion();
        for (const correction of corrections) this.#report(correction);
        if (done) {
          this.#dueMonotonicMs = clock.monotonicMs() + everyMs;
          return;
        }
        const pauseMs = Math.max(minPauseMs, (clock.monotonicMs() - portionStartedMs) * pauseRatio);
        await sleep(clock, pauseMs, this.#stopping.signal);
      }
    } catch (error) {
      // The next round continues, and other loops report the store.
      if (!isTransientStoreError(error)) throw error;
    }
  }

  /** Ends the round under way after its portion. */
  stop(): void {
    this.#stopping.abort();
  }

  #report(correction: Awaited<ReturnType<CounterStore["recountPortion"]>>["corrections"][number]): void {
    this.#options.logger.error(correction, "counter.corrected");
    this.#options.metrics.counterCorrected();
  }
}

import { isTransientStoreError } from "../../domain/errors.ts";
import type { Clock } from "../../ports/clock.ts";
import type { RetentionStore } from "../../ports/stores/service-store.ts";
import type { Logger } from "../../ports/telemetry.ts";
import { sleep } from "./timed-waits.ts";

export type RetentionCleanerOptions = {
  readonly store: RetentionStore;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly retentionDays: number;
  readonly batchSize?: number;
};

const dayMs = 24 * 60 * 60 * 1000;
/** A watch with three events delivered takes the embedded store 0.3 ms: a commit waits 6 ms at most. */
const defaultBatchSize = 20;
/** The store has so many times what a batch took for others before the next one: 700 watches a second are the most. */
const restRatio = 3;
const minRestMs = 5;
/** A round ends so that it counts as one; the next goes on. */
const maxRoundMs = 15_000;
/** After a round that the store was away for; longer with each one. */
const minPauseMs = 10_000;
const maxPauseMs = 60_000;

/** Deletes what retention is over for: small batches while there is more, with rests, so that no commit waits long for it. */
export class RetentionCleaner {
  readonly #options: RetentionCleanerOptions;
  readonly tickEveryMs = 5000;
  readonly #stopping = new AbortController();
  /** While the store has trouble: when it is asked again, and how long it is left alone after that. */
  #pause: { readonly untilMonotonicMs: number; readonly nextMs: number } | null = null;

  constructor(options: RetentionCleanerOptions) {
    this.#options = options;
  }

  async tick(): Promise<void> {
    const { clock } = this.#options;
    const startedMs = clock.monotonicMs();
    if (this.#pause !== null && startedMs < this.#pause.untilMonotonicMs) return;
    try {
      while (!this.#stopping.signal.aborted && clock.monotonicMs() - startedMs < maxRoundMs) {
        const batchStartedMs = clock.monotonicMs();
        const more = await this.#deleteBatch();
        this.#pause = null;
        if (!more) return;
        const restMs = Math.max(minRestMs, (clock.monotonicMs() - batchStartedMs) * restRatio);
        await sleep(clock, restMs, this.#stopping.signal);
      }
    } catch (error) {
      if (!isTransientStoreError(error)) throw error;
      this.#leaveAlone(error);
    }
  }

  /** The round that runs ends with its batch. */
  stop(): void {
    this.#stopping.abort();
  }

  /** What is late to be deleted waits for a store that has time; said once until it had some. */
  #leaveAlone(error: Error): void {
    const { clock, logger } = this.#options;
    if (this.#pause === null) logger.warn({ error: error.message }, "retention.failed");
    const pauseMs = this.#pause?.nextMs ?? minPauseMs;
    this.#pause = { untilMonotonicMs: clock.monotonicMs() + pauseMs, nextMs: Math.min(pauseMs * 2, maxPauseMs) };
  }

  /** Whether there is more. */
  async #deleteBatch(): Promise<boolean> {
    const { store, clock, retentionDays, batchSize = defaultBatchSize } = this.#options;
    const nowMs = clock.nowMs();
    const { more } = await store.deleteExpired({ beforeMs: Math.floor(nowMs - retentionDays * dayMs), nowMs, limit: batchSize });
    return more;
  }
}

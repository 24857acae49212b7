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
/**
 * Number of watches in a batch. Deleting one with three delivered events takes SQLite 0.3 ms, so that a batch delays a
 * commit by at most 6 ms.
 */
const defaultBatchSize = 20;
/** Gap after a batch, as a multiple of the batch's duration: at most 700 watches are deleted a second. */
const gapRatio = 3;
const minGapMs = 5;
/** A round ends after this time, so that the supervisor sees the loop tick; the next round continues. */
const maxRoundMs = 15_000;
/** Delay after a round that found the store unavailable; doubles with each one. */
const minBackoffMs = 10_000;
const maxBackoffMs = 60_000;

/** Deletes data whose retention is over, in small batches with gaps, so that no commit waits long. */
export class RetentionCleaner {
  readonly #options: RetentionCleanerOptions;
  readonly tickEveryMs = 5000;
  readonly #stopping = new AbortController();
  /** Set while the store is unavailable: time of the next round, and the delay after that one. */
  #backoff: { readonly untilMonotonicMs: number; readonly nextMs: number } | null = null;

  constructor(options: RetentionCleanerOptions) {
    this.#options = options;
  }

  async tick(): Promise<void> {
    const { clock } = this.#options;
    const startedMs = clock.monotonicMs();
    if (this.#backoff !== null && startedMs < this.#backoff.untilMonotonicMs) return;
    try {
      while (!this.#stopping.signal.aborted && clock.monotonicMs() - startedMs < maxRoundMs) {
        const batchStartedMs = clock.monotonicMs();
        const more = await this.#deleteBatch();
        this.#backoff = null;
        if (!more) return;
        const gapMs = Math.max(minGapMs, (clock.monotonicMs() - batchStartedMs) * gapRatio);
        await sleep(clock, gapMs, this.#stopping.signal);
      }
    } catch (error) {
      if (!isTransientStoreError(error)) throw error;
      this.#backOff(error);
    }
  }

  /** Ends the round under way after its batch. */
  stop(): void {
    this.#stopping.abort();
  }

  /** Postpones the next round; logged once until a batch succeeds. */
  #backOff(error: Error): void {
    const { clock, logger } = this.#options;
    if (this.#backoff === null) logger.warn({ error: error.message }, "retention.failed");
    const backoffMs = this.#backoff?.nextMs ?? minBackoffMs;
    this.#backoff = { untilMonotonicMs: clock.monotonicMs() + backoffMs, nextMs: Math.min(backoffMs * 2, maxBackoffMs) };
  }

  /** Returns whether more is to be deleted. */
  async #deleteBatch(): Promise<boolean> {
    const { store, clock, retentionDays, batchSize = defaultBatchSize } = this.#options;
    const nowMs = clock.nowMs();
    const { more } = await store.deleteExpired({ beforeMs: Math.floor(nowMs - retentionDays * dayMs), nowMs, limit: batchSize });
    return more;
  }
}

import type { Clock } from "../ports/clock.ts";
import type { RetentionStore } from "../ports/service-store.ts";

export type CleanerOptions = {
  readonly store: RetentionStore;
  readonly clock: Clock;
  readonly retentionDays: number;
  readonly batchSize?: number;
};

const dayMs = 24 * 60 * 60 * 1000;
/** With 200 of a kind each, 2,000 a second: more than a busy service makes. */
const batchesPerTick = 50;

/**
 * Deletes what retention is over for, in small batches: each is an operation of its own, so that no commit ever waits
 * long for it. What a round leaves is the next one's.
 */
export class Cleaner {
  readonly #options: CleanerOptions;
  readonly tickEveryMs = 5000;

  constructor(options: CleanerOptions) {
    this.#options = options;
  }

  async tick(): Promise<void> {
    const { store, clock, retentionDays, batchSize = 200 } = this.#options;
    const nowMs = clock.nowMs();
    for (let batch = 0; batch < batchesPerTick; batch++) {
      const { more } = await store.deleteExpired({ beforeMs: nowMs - retentionDays * dayMs, nowMs, limit: batchSize });
      if (!more) return;
    }
  }
}

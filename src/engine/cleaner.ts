import type { Clock } from "../ports/clock.ts";
import type { RetentionStore } from "../ports/service-store.ts";

export type CleanerOptions = {
  readonly store: RetentionStore;
  readonly clock: Clock;
  readonly retentionDays: number;
  readonly batchSize?: number;
};

const dayMs = 24 * 60 * 60 * 1000;

/** Deletes what retention is over for. One small batch a round, so that no commit ever waits long for it. */
export class Cleaner {
  readonly #options: CleanerOptions;
  readonly tickEveryMs = 5000;

  constructor(options: CleanerOptions) {
    this.#options = options;
  }

  async tick(): Promise<void> {
    const { store, clock, retentionDays, batchSize = 200 } = this.#options;
    const nowMs = clock.nowMs();
    await store.deleteExpired({ beforeMs: nowMs - retentionDays * dayMs, nowMs, limit: batchSize });
  }
}

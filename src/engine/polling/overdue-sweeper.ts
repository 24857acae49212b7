import { isTransientStoreError } from "../../domain/errors.ts";
import type { Clock } from "../../ports/clock.ts";
import type { CommitListener } from "../../ports/commit-listener.ts";
import type { OperationalStore } from "../../ports/stores/service-store.ts";
import type { Logger } from "../../ports/telemetry.ts";

export type OverdueSweeperOptions = {
  readonly store: Pick<OperationalStore, "publishOverdue">;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly listeners: readonly CommitListener[];
  /** Age of a watch after which its call is overdue. */
  readonly overdueAfterMs: number;
};

/** Number of watches of one commit, and number of commits of one tick. */
const watchesAtOnce = 100;
const maxPortions = 50;

/** Publishes `call.overdue` for watches whose calls have not ended for long. Many are published in portions. */
export class OverdueSweeper {
  readonly #options: OverdueSweeperOptions;
  /** No longer than the time after which a call is overdue, and at most 20 s: a loop that has not ticked for 30 s counts as dead. */
  readonly tickEveryMs: number;
  #isStopped = false;

  constructor(options: OverdueSweeperOptions) {
    this.tickEveryMs = Math.min(20_000, Math.max(1000, options.overdueAfterMs));
    this.#options = options;
  }

  async tick(): Promise<void> {
    const { store, clock, logger, listeners, overdueAfterMs } = this.#options;
    try {
      for (let portions = 0; portions < maxPortions && !this.#isStopped; portions++) {
        const nowMs = clock.nowMs();
        const published = await store.publishOverdue({ registeredUntilMs: nowMs - overdueAfterMs, nowMs, limit: watchesAtOnce });
        if (published.notices.length > 0) for (const listener of listeners) listener.committed(published);
        if (!published.more) return;
      }
    } catch (error) {
      if (!isTransientStoreError(error)) throw error;
      logger.debug({ error: error.message }, "overdue.failed");
    }
  }

  /** Ends the tick under way after its portion. */
  stop(): void {
    this.#isStopped = true;
  }
}

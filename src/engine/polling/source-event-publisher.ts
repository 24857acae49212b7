import type { SourceHealth } from "../../domain/sources/source.ts";
import type { Clock } from "../../ports/clock.ts";
import type { CommitListener } from "../../ports/commit-listener.ts";
import type { OperationalStore } from "../../ports/stores/service-store.ts";
import type { Logger } from "../../ports/telemetry.ts";

export type SourceEventPublisherOptions = {
  readonly store: Pick<OperationalStore, "publishSourceEvent">;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly listeners: readonly CommitListener[];
};

/** Number of accounts of one commit. */
const accountsAtOnce = 100;

/** Publishes `source.suspended` and `source.resumed` to the accounts that may use the source. */
export class SourceEventPublisher {
  readonly #options: SourceEventPublisherOptions;

  constructor(options: SourceEventPublisherOptions) {
    this.#options = options;
  }

  /** Commits the event without waiting; a store that is unavailable is logged and the event is lost. */
  publish({ name, state, reason }: SourceHealth, change: "suspended" | "resumed"): void {
    const { clock, logger } = this.#options;
    const event = { type: `source.${change}` as const, sourceName: name, state, reason, nowMs: clock.nowMs() };
    this.#publishTo(event).catch((error: unknown) => logger.warn({ source: name, error: String(error) }, "source.event_failed"));
  }

  /** Publishes to every account, in portions. */
  async #publishTo(event: Omit<Parameters<OperationalStore["publishSourceEvent"]>[0], "afterAccountId" | "limit">): Promise<void> {
    const { store, listeners } = this.#options;
    let afterAccountId: string | null = null;
    do {
      const published: Awaited<ReturnType<OperationalStore["publishSourceEvent"]>> = await store.publishSourceEvent({
        ...event,
        afterAccountId,
        limit: accountsAtOnce,
      });
      for (const listener of listeners) listener.committed(published);
      afterAccountId = published.lastAccountId;
    } while (afterAccountId !== null);
  }
}

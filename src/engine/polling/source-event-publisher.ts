import type { SourceHealth } from "../../domain/sources/source.ts";
import type { Clock } from "../../ports/clock.ts";
import type { CommitListener } from "../../ports/commit-listener.ts";
import type { OperationalStore } from "../../ports/stores/service-store.ts";
import type { Logger } from "../../ports/telemetry.ts";

export type SourceEventPublisherOptions = {
  readonly store: OperationalStore;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly listeners: readonly CommitListener[];
};

/** Publishes `source.suspended` and `source.resumed` to the hooks that subscribe to them. */
export class SourceEventPublisher {
  readonly #options: SourceEventPublisherOptions;

  constructor(options: SourceEventPublisherOptions) {
    this.#options = options;
  }

  /** Commits the event without waiting; a store that is unavailable is logged and the event is lost. */
  publish({ name, state, reason }: SourceHealth, change: "suspended" | "resumed"): void {
    const { store, clock, logger, listeners } = this.#options;
    const event = { type: `source.${change}` as const, sourceName: name, state, reason, nowMs: clock.nowMs() };
    store.publishSourceEvent(event).then(
      (commit) => {
        for (const listener of listeners) listener.committed(commit);
      },
      (error: unknown) => logger.warn({ source: name, error: String(error) }, "source.event_failed"),
    );
  }
}

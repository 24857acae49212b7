import type { EventType } from "../../domain/events/event.ts";
import { eventTypes } from "../../domain/events/event.ts";
import type { Commit, CommitListener, Removal } from "../../ports/commit-listener.ts";
import type { Notice } from "../../ports/stores/call-store.ts";
import type { Metrics } from "../../ports/telemetry.ts";

const counted: ReadonlySet<string> = new Set<EventType>(eventTypes);

/** Counts the events of every commit of this process. A notice without an event, as of a watch that was deleted, is not counted. */
export class EventCounter implements CommitListener {
  readonly #metrics: Pick<Metrics, "eventCommitted">;

  constructor(metrics: Pick<Metrics, "eventCommitted">) {
    this.#metrics = metrics;
  }

  committed({ notices }: Commit): void {
    this.#count(notices);
  }

  removed({ notices }: Removal): void {
    this.#count(notices);
  }

  #count(notices: readonly Notice[]): void {
    for (const { eventType } of notices) if (counted.has(eventType)) this.#metrics.eventCommitted(eventType);
  }
}

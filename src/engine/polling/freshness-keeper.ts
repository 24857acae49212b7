import { isTransientStoreError } from "../../domain/errors.ts";
import type { Clock } from "../../ports/clock.ts";
import type { FreshnessStore, StatusAges } from "../../ports/stores/freshness-store.ts";
import type { PolledSource } from "../sources/polled-source.ts";
import type { SourceRegistry } from "../sources/source-registry.ts";
import type { PolledCall } from "./polled-call.ts";

export type FreshnessKeeperOptions = {
  readonly store: FreshnessStore;
  readonly clock: Clock;
  readonly sources: Pick<SourceRegistry<PolledCall>, "all" | "get" | "isRemoved">;
};

const everyMs = 60_000;
/** Number of statuses in one operation, so that no commit waits long for it. */
const portion = 50;

/**
 * Keeps what polling learned in the store, and exchanges it with the other instances: each adds its own observations and
 * takes over the sum. A crash loses at most the last minute.
 */
export class FreshnessKeeper {
  readonly tickEveryMs = 5000;
  readonly #options: FreshnessKeeperOptions;
  #dueMonotonicMs: number;
  /** The exchange under way, so that none starts beside it. */
  #exchange: Promise<void> = Promise.resolve();

  constructor(options: FreshnessKeeperOptions) {
    this.#options = options;
    this.#dueMonotonicMs = options.clock.monotonicMs() + everyMs;
  }

  /** Loads what was learned before; called once, before the first poll. Rejects if the store does not answer. */
  async load(): Promise<void> {
    for (const ages of await this.#options.store.listStatusAges()) this.#adopt(ages);
  }

  async tick(): Promise<void> {
    if (this.#options.clock.monotonicMs() < this.#dueMonotonicMs) return;
    this.#dueMonotonicMs = this.#options.clock.monotonicMs() + everyMs;
    await this.exchange();
  }

  /** Writes what was observed since the last exchange. If the store is unavailable, the next exchange does. */
  exchange(): Promise<void> {
    this.#exchange = this.#exchange.then(
      () => this.#run(),
      () => this.#run(),
    );
    return this.#exchange;
  }

  async #run(): Promise<void> {
    const { store, sources } = this.#options;
    const learning = [...sources.all()].filter(({ name }) => !sources.isRemoved(name));
    const unsent = learning.flatMap((source) => unsentOf(source));
    try {
      for (let from = 0; from < unsent.length; from += portion)
        for (const ages of await store.appendStatusAges(unsent.slice(from, from + portion))) this.#adopt(ages);
    } catch (error) {
      if (!isTransientStoreError(error)) throw error;
    } finally {
      for (const { freshness } of learning) freshness?.keepUnsent();
    }
  }

  #adopt({ sourceName, ...ages }: StatusAges): void {
    this.#options.sources.get(sourceName)?.freshness?.adopt(ages);
  }
}

function unsentOf({ name, freshness }: PolledSource<PolledCall>): readonly StatusAges[] {
  return freshness?.takeUnsent().map((ages) => ({ sourceName: name, ...ages })) ?? [];
}

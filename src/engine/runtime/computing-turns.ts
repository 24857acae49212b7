import { FairQueue } from "../../domain/fair-queue.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Turns } from "../../ports/turns.ts";

/** Items of a request that are computed in one turn at most. */
const sliceItems = 25;
/** Time after which a slice ends earlier: some items cost much, and code that is not compiled yet takes ten times as long. */
const sliceMs = 2;

/**
 * One computation in each turn of the event loop, accounts in turn. Between two of them the loop takes what has arrived, so
 * any number of batches side by side delays other requests by one slice a turn. Who waits is bounded by the requests that
 * are under way.
 */
export class ComputingTurns implements Turns {
  readonly #clock: Pick<Clock, "nextTurn" | "monotonicMs">;
  readonly #waiting = new FairQueue<() => void>();
  #isScheduled = false;

  constructor(clock: Pick<Clock, "nextTurn" | "monotonicMs">) {
    this.#clock = clock;
  }

  next(accountId: string): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.add(accountId, resolve, 1);
    this.#schedule();
    return promise;
  }

  async map<Item, Result>(
    accountId: string,
    items: readonly Item[],
    map: (item: Item, index: number) => Result,
  ): Promise<readonly Result[]> {
    if (items.length <= sliceItems) return items.map(map);
    const results: Result[] = [];
    while (results.length < items.length) {
      await this.next(accountId);
      const endsAtMs = this.#clock.monotonicMs() + sliceMs;
      const slice = items.slice(results.length, results.length + sliceItems);
      for (const item of slice) {
        results.push(map(item, results.length));
        if (this.#clock.monotonicMs() >= endsAtMs) break;
      }
    }
    return results;
  }

  #schedule(): void {
    if (this.#isScheduled || this.#waiting.size === 0) return;
    this.#isScheduled = true;
    this.#clock.nextTurn(() => {
      this.#isScheduled = false;
      this.#waiting.take()?.();
      this.#schedule();
    });
  }
}
